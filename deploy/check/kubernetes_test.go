package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cnpg "github.com/cloudnative-pg/cloudnative-pg/api/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// object returns the type that the API server would decode a kind into.
func object(apiVersion, kind string) (any, error) {
	switch apiVersion + " " + kind {
	case "v1 Namespace":
		return &core.Namespace{}, nil
	case "v1 ConfigMap":
		return &core.ConfigMap{}, nil
	case "v1 Secret":
		return &core.Secret{}, nil
	case "v1 Service":
		return &core.Service{}, nil
	case "apps/v1 Deployment":
		return &apps.Deployment{}, nil
	case "batch/v1 Job":
		return &batch.Job{}, nil
	case "policy/v1 PodDisruptionBudget":
		return &policy.PodDisruptionBudget{}, nil
	case "networking.k8s.io/v1 Ingress":
		return &networking.Ingress{}, nil
	case "postgresql.cnpg.io/v1 Cluster":
		return &cnpg.Cluster{}, nil
	case "kustomize.config.k8s.io/v1beta1 Kustomization":
		return &kustomization{}, nil
	}
	return nil, fmt.Errorf("no type for %s %s", apiVersion, kind)
}

// kustomization has the fields that ours uses: its library is a module of its own.
type kustomization struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Namespace  string   `json:"namespace"`
	Resources  []string `json:"resources"`
	Images     []struct {
		Name    string `json:"name"`
		NewName string `json:"newName"`
		NewTag  string `json:"newTag"`
	} `json:"images"`
}

// decode reads every document of a manifest strictly.
func decode(text string) ([]any, error) {
	var list []any
	docs := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var meta struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal(doc, &meta); err != nil {
			return nil, err
		}
		o, err := object(meta.APIVersion, meta.Kind)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(doc, o); err != nil {
			return nil, fmt.Errorf("%s: %w", meta.Kind, err)
		}
		list = append(list, o)
	}
}

func TestKubernetes_ManifestsAreWhatItsTypesRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../kubernetes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, name := range files {
		list, err := decode(read(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		objects += len(list)
		for _, o := range list {
			if k, ok := o.(*kustomization); ok {
				resourcesExist(t, k)
			}
		}
	}
	if objects < 10 {
		t.Errorf("only %d objects", objects)
	}
}

func resourcesExist(t *testing.T, k *kustomization) {
	t.Helper()
	for _, r := range k.Resources {
		if _, err := os.Stat(filepath.Join("../kubernetes", r)); err != nil {
			t.Error(err)
		}
	}
}

func TestKubernetes_AMisspeltFieldIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, right, wrong string }{
		{"kiosk.yaml", "sleep:", "slep:"},
		{"kiosk.yaml", "unhealthyPodEvictionPolicy", "unhealthyPodEviction"},
		{"postgres.yaml", "smartShutdownTimeout:", "smartShutdown:"},
		{"ingress.example.yaml", "pathType", "pathKind"},
	} {
		text := read(t, "../kubernetes/"+c.file)
		if changed := strings.ReplaceAll(text, c.right, c.wrong); changed == text {
			t.Errorf("%s has no %s", c.file, c.right)
		} else if _, err := decode(changed); err == nil {
			t.Errorf("%s with %s passes: the check checks nothing", c.file, c.wrong)
		}
	}
}
