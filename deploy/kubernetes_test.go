package deploy_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// The strict decoding into Kubernetes' own types is in the module check. Here
// the manifests must agree with the program and with one another.

// kubernetes returns all manifests by kind and name.
func kubernetes(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for _, name := range files {
		for _, doc := range documents(t, name) {
			all[fmt.Sprint(doc["kind"], "/", get(doc, "metadata", "name"))] = doc
		}
	}
	return all
}

// get walks into maps and lists; what is not there is nil.
func get(v any, path ...any) any {
	for _, step := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[fmt.Sprint(step)]
		case []any:
			i, ok := step.(int)
			if !ok || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

func number(v any) int {
	var n int
	_, _ = fmt.Sscan(fmt.Sprint(v), &n) // nil is 0
	return n
}

func text(v any) []string {
	var list []string
	all, _ := v.([]any)
	for _, s := range all {
		list = append(list, fmt.Sprint(s))
	}
	return list
}

// envOf returns a container's environment as the cluster puts it together.
func envOf(container any, all map[string]map[string]any) map[string]string {
	env := map[string]string{}
	sources, _ := get(container, "envFrom").([]any)
	for _, from := range sources {
		config := get(all[fmt.Sprint("ConfigMap/", get(from, "configMapRef", "name"))], "data")
		for name, value := range asMap(config) {
			env[name] = fmt.Sprint(value)
		}
		for name := range asMap(get(all[fmt.Sprint("Secret/", get(from, "secretRef", "name"))], "stringData")) {
			env[name] = reference + "Secret"
		}
	}
	direct, _ := get(container, "env").([]any)
	for _, v := range direct {
		env[fmt.Sprint(get(v, "name"))] = reference + fmt.Sprint(get(v, "valueFrom", "secretKeyRef", "key"))
	}
	return env
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func readKubernetes(t *testing.T) []artefact {
	t.Helper()
	all := kubernetes(t)
	pod := get(all["Deployment/kiosk"], "spec", "template", "spec")
	container, migrate := get(pod, "containers", 0), get(pod, "initContainers", 0)
	port := get(container, "ports", 0)
	probe := func(name string) string {
		if got := get(container, name, "httpGet", "port"); got != get(port, "name") {
			t.Errorf("Deployment: %s asks port %v", name, got)
		}
		return fmt.Sprint(get(container, name, "httpGet", "path"))
	}
	return []artefact{{
		name: "kubernetes", runs: slices.Concat(imageCommand(t)[:1], text(get(container, "args"))),
		ready: []string{probe("readinessProbe")}, live: []string{probe("livenessProbe"), probe("startupProbe")},
		migrate: imageCommand(t)[0] + " " + join(text(get(migrate, "args"))),
		signal:  "SIGTERM", grace: number(get(pod, "terminationGracePeriodSeconds")), preStop: number(get(container, "lifecycle", "preStop", "sleep", "seconds")),
		alsoPorts: []int{number(get(port, "containerPort"))},
		user:      fmt.Sprint(get(pod, "securityContext", "runAsUser"), ":", get(pod, "securityContext", "runAsGroup")),
		env:       envOf(container, all), port: envOf(container, all)["PORT"], complete: true,
	}}
}

func TestKubernetes_ARolloutNeverLacksAnInstance(t *testing.T) {
	t.Parallel()
	all := kubernetes(t)
	d := all["Deployment/kiosk"]
	for path, want := range map[string]int{"maxSurge": 1, "maxUnavailable": 0} {
		if got := get(d, "spec", "strategy", "rollingUpdate", path); got == nil || number(got) != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	if n := number(get(d, "spec", "replicas")); n != 3 {
		t.Errorf("%d replicas", n)
	}
	budget := all["PodDisruptionBudget/kiosk"]
	if get(budget, "spec", "unhealthyPodEvictionPolicy") != "AlwaysAllow" || number(get(budget, "spec", "maxUnavailable")) != 1 {
		t.Errorf("%v: a broken release would block every drain", budget)
	}
	labels := fmt.Sprint(get(d, "spec", "template", "metadata", "labels"))
	for name, selector := range map[string]any{
		"Deployment": get(d, "spec", "selector", "matchLabels"), "budget": get(budget, "spec", "selector", "matchLabels"),
		"Service": get(all["Service/kiosk"], "spec", "selector"), "spread": get(d, "spec", "template", "spec", "topologySpreadConstraints", 0, "labelSelector", "matchLabels"),
	} {
		if fmt.Sprint(selector) != labels {
			t.Errorf("the %s selects %v, the pods have %v", name, selector, labels)
		}
	}
}

func TestKubernetes_PodsAreConfined(t *testing.T) {
	t.Parallel()
	all := kubernetes(t)
	for _, name := range []string{"Deployment/kiosk", "Job/kiosk-migrate"} {
		pod := get(all[name], "spec", "template", "spec")
		if get(pod, "securityContext", "runAsNonRoot") != true || get(pod, "automountServiceAccountToken") != false ||
			get(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
			t.Errorf("%s: %v", name, get(pod, "securityContext"))
		}
		inits, _ := get(pod, "initContainers").([]any)
		mains, _ := get(pod, "containers").([]any)
		for _, c := range slices.Concat(inits, mains) {
			s := get(c, "securityContext")
			if get(s, "allowPrivilegeEscalation") != false || get(s, "readOnlyRootFilesystem") != true || fmt.Sprint(get(s, "capabilities", "drop")) != "[ALL]" {
				t.Errorf("%s, container %v: %v", name, get(c, "name"), s)
			}
		}
	}
}

// The lock's sessions never leave, so a smart shutdown of the primary would wait
// in vain; and nothing may stand between the lock and the primary.
func TestKubernetes_TheDatabaseHandsOverFastAndDirectly(t *testing.T) {
	t.Parallel()
	all := kubernetes(t)
	cluster := all["Cluster/kiosk-db"]
	if n := number(get(cluster, "spec", "smartShutdownTimeout")); n != 15 {
		t.Errorf("smartShutdownTimeout is %d", n)
	}
	if n := number(get(cluster, "spec", "instances")); n < 3 {
		t.Errorf("%d instances", n)
	}
	secret := fmt.Sprint(get(cluster, "metadata", "name"), "-app")
	for _, container := range []any{
		get(all["Deployment/kiosk"], "spec", "template", "spec", "initContainers", 0),
		get(all["Deployment/kiosk"], "spec", "template", "spec", "containers", 0),
		get(all["Job/kiosk-migrate"], "spec", "template", "spec", "containers", 0),
	} {
		if ref := get(container, "env", 0, "valueFrom", "secretKeyRef"); get(ref, "name") != secret || get(ref, "key") != "uri" {
			t.Errorf("container %v takes DATABASE_URL from %v", get(container, "name"), ref)
		}
	}
	for name := range all {
		if name[:min(7, len(name))] == "Pooler/" {
			t.Errorf("%s is shipped", name)
		}
	}
}

func TestKubernetes_OnlyWhatOthersNeedIsPublic(t *testing.T) {
	t.Parallel()
	rule := get(kubernetes(t)["Ingress/kiosk"], "spec", "rules", 0)
	var public []string
	paths, _ := get(rule, "http", "paths").([]any)
	for _, p := range paths {
		public = append(public, fmt.Sprint(get(p, "path")))
	}
	if want := []string{"/webhook", "/callback", "/console"}; !slices.Equal(public, want) {
		t.Errorf("public are %v, want %v", public, want)
	}
}
