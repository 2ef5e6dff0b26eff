package kiesim_test

import (
	"net/http"
	"strings"
	"testing"
)

type listing struct {
	Total  int
	Models []struct {
		Model, Provider, PricingDesc string
		TaskType                     []string
	}
}

func TestCatalog_ListsAndFilters(t *testing.T) {
	t.Parallel()
	a := start(t)
	list := func(query string) listing {
		return decode[listing](t, a.call(http.MethodGet, "/api/v1/models"+query, nil).Data)
	}
	all := list("")
	if all.Total != len(all.Models) || all.Total < 150 {
		t.Fatalf("%d models, total %d", len(all.Models), all.Total)
	}
	for _, m := range all.Models {
		if strings.HasPrefix(m.Model, "legacy:") || strings.HasPrefix(m.Model, "sora-2") || m.Provider == "" || len(m.TaskType) == 0 {
			t.Errorf("listed: %+v", m)
		}
	}
	for query, want := range map[string]string{
		"?provider=kling": "kling/v2-1-pro", "?q=BANANA": "nano-banana-2", "?taskType=text+to+video": "wan/2-7-text-to-video",
	} {
		some := list(query)
		found := false
		for _, m := range some.Models {
			found = found || m.Model == want
		}
		if !found || some.Total >= all.Total {
			t.Errorf("%s: %d models, %s among them: %v", query, some.Total, want, found)
		}
	}
}

func TestCatalog_DescribesEveryListedModel(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, m := range decode[listing](t, a.call(http.MethodGet, "/api/v1/models", nil).Data).Models {
		path := "/api/v1/models/" + m.Model
		schema := decode[struct {
			Model   string
			OpenAPI struct {
				Paths map[string]map[string]any
			}
		}](t, a.call(http.MethodGet, path+"/schema", nil).Data)
		if schema.Model != m.Model || schema.OpenAPI.Paths["/api/v1/jobs/createTask"]["post"] == nil {
			t.Errorf("schema of %s: %+v", m.Model, schema)
		}
		price := decode[struct {
			Prices []struct{ CreditPrice string }
		}](t, a.call(http.MethodGet, path+"/price", nil).Data)
		if (m.PricingDesc == "") != (len(price.Prices) == 0) {
			t.Errorf("price of %s: %+v, description %q", m.Model, price, m.PricingDesc)
		}
	}
}

func TestCatalog_SchemaStatesTheFields(t *testing.T) {
	t.Parallel()
	a := start(t)
	got := string(a.call(http.MethodGet, "/api/v1/models/kling-3.0/video/schema", nil).Data)
	for _, part := range []string{`"required":["prompt","sound"`, `"enum":["16:9","9:16","1:1"]`, `"enum":["kling-3.0/video"]`, `"maxLength":500`} {
		if !strings.Contains(got, part) {
			t.Errorf("the schema lacks %s: %s", part, got)
		}
	}
}

func TestCatalog_SuccessRateCoversADay(t *testing.T) {
	t.Parallel()
	a := start(t)
	got := decode[struct {
		Buckets []struct {
			Start, End  int64
			SuccessRate float64
			IsNormal    bool
		}
	}](t, a.call(http.MethodGet, "/api/v1/models/nano-banana-2/success-rate", nil).Data)
	if n := len(got.Buckets); n != 144 || got.Buckets[0].End != got.Buckets[1].Start || !got.Buckets[n-1].IsNormal {
		t.Errorf("%d buckets: %+v", n, got)
	}
}

func TestCatalog_UnknownModelIsNotFound(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, path := range []string{"none/schema", "kling/none/price", "nano-banana-2/colour", "nano-banana-2", "", "sora-2-text-to-video/schema"} {
		if got := a.call(http.MethodGet, "/api/v1/models/"+path, nil); got.Code != 404 {
			t.Errorf("%s: code %d", path, got.Code)
		}
	}
}
