/*
Copyright The Kubernetes NMState Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package nodenetworkstate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nmstate/kubernetes-nmstate/pkg/apis/nmstate/v1alpha1"
)

// deep returns an object of so many levels, with the text in the innermost one.
func deep(levels int, text string) string {
	return strings.Repeat(`{"a":`, levels) + `"` + text + `"` + strings.Repeat("}", levels)
}

// TestBodiesThatCostMoreThanTheyWeigh: each of these made the server work for seconds to
// minutes, with hundreds of megabytes, before the result was refused. Some were not refused.
func TestBodiesThatCostMoreThanTheyWeigh(t *testing.T) {
	const (
		merge = "application/merge-patch+json"
		patch = "application/json-patch+json"
		apply = "application/apply-patch+yaml"
		put   = "application/json"
		yaml  = "application/yaml"
	)
	desired := func(state string) string { return `{"spec":{"desiredState":` + state + `}}` }
	managed := func(fields string) string { return `{"metadata":{"managedFields":[{"fieldsV1":` + fields + `}]}}` }
	aliases := func(size, count int) string {
		return "spec:\n  desiredState:\n    a: &a " + strings.Repeat("x", size) + "\n    b: [" + strings.Repeat("*a,", count) + "]\n"
	}
	fields := func(count int) string {
		return "{" + strings.TrimSuffix(strings.Repeat(`"a":0,`, count), ",") + "}"
	}
	operation := func(from, path int) string {
		return `[{"op":"copy","from":"` + strings.Repeat("/a", from) + `","path":"` + strings.Repeat("/a", path) + `"}]`
	}
	for name, test := range map[string]struct {
		media, body string
		code        int32
		says        string
	}{
		"a state as deep as it may be": {merge, desired(deep(v1alpha1.MaxDepth, "")), 0, ""},
		"a deep state":                 {merge, desired(deep(9000, "")), http.StatusBadRequest, "deeper than 120 levels"},
		"a deep state, put":            {put, desired(deep(9000, "")), http.StatusBadRequest, "deeper than 120 levels"},
		"a deep state, applied":        {apply, desired(deep(9000, "")), http.StatusBadRequest, "deeper than 120 levels"},
		"a deep state, wrong charset":  {apply + "; =", "spec: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), http.StatusBadRequest, "deeper than 120 levels"},
		"a deep value":                 {patch, `[{"op":"add","path":"/spec","value":` + deep(9000, "") + `}]`, http.StatusBadRequest, "deeper than 120 levels"},
		"deep managed fields":          {merge, managed(deep(2000, "")), http.StatusBadRequest, "deeper than 120 levels"},
		"an unknown deep field":        {merge, deep(9000, ""), http.StatusBadRequest, "deeper than 120 levels"},
		"much text in deep levels":     {merge, deep(100, strings.Repeat("x", 1<<20)), http.StatusBadRequest, "nested 99 levels deep on average"},
		"text in usual levels":         {merge, `{"metadata":` + deep(10, strings.Repeat("x", 3<<20)) + `}`, 0, ""},
		"a state of 2 MiB":             {merge, desired(deep(1, strings.Repeat("x", 2<<20))), http.StatusUnprocessableEntity, "may have at most 1048576"},
		"a state of 2 MiB, applied":    {apply, desired(deep(1, strings.Repeat("x", 2<<20))), http.StatusUnprocessableEntity, "may have at most 1048576"},
		"a state that is text":         {merge, desired(`"s3cret"`), http.StatusUnprocessableEntity, "must be an object"},
		"a state that is a list":       {apply, desired(`["s3cret"]`), http.StatusUnprocessableEntity, "must be an object"},
		"a state that goes":            {merge, desired(`null`), 0, ""},
		"a state of escapes":           {merge, desired(deep(1, strings.Repeat(`\u003c`, 300000))), 0, ""},
		"as many fields as may be":     {merge, desired(fields(v1alpha1.MaxSiblings)), 0, ""},
		"too many fields":              {merge, desired(fields(v1alpha1.MaxSiblings + 1)), http.StatusUnprocessableEntity, "a list of 5001 entries, or an object of as many fields"},
		"too many entries, applied":    {apply, desired(`{"routes":{"config":[` + strings.Repeat(`0,`, v1alpha1.MaxSiblings) + `0]}}`), http.StatusUnprocessableEntity, "a list of 5001 entries, or an object of as many fields"},
		"too many values":              {merge, desired(`{"a":[` + strings.TrimSuffix(strings.Repeat(fields(4000)+",", 17), ",") + `]}`), http.StatusUnprocessableEntity, "about 68018 values"},
		"too many fields around it":    {merge, `{"metadata":{"annotations":` + fields(maxFields) + `}}`, http.StatusBadRequest, "20002 fields outside of lists"},
		"a patch with too many fields": {patch, `[{"op":"add","path":"/spec","value":` + fields(v1alpha1.MaxSiblings+1) + `}]`, http.StatusBadRequest, "may add 5001 entries"},
		"a patch that adds one by one": {patch, `[` + strings.Repeat(`{"op":"add","path":"/spec/desiredState/interfaces/-","value":{}},`, v1alpha1.MaxSiblings) + `{"op":"remove","path":"/spec"}]`, http.StatusBadRequest, "may add 5001 entries"},
		"a patch with too many values": {patch, `[{"op":"add","path":"/spec","value":[` + strings.TrimSuffix(strings.Repeat(fields(4000)+",", 17), ",") + `]}]`, http.StatusBadRequest, "about 68017 values"},
		"many fields in a list":        {merge, desired(`{"interfaces":[` + fields(90000) + `]}`), http.StatusUnprocessableEntity, "a list of 90000 entries, or an object of as many fields"},
		"text that is no text":         {merge, desired(deep(1, "\xff")), http.StatusBadRequest, "not valid UTF-8"},
		"a patch that is no text":      {patch, "[{\"op\":\"add\",\"path\":\"/spec\",\"value\":\"\xff\"}]", http.StatusBadRequest, "not valid UTF-8"},
		"copies":                       {patch, operation(120, 120), 0, ""},
		"deep copies":                  {patch, operation(1, 121), http.StatusBadRequest, "patch[0]"},
		"copies from deep":             {patch, operation(121, 1), http.StatusBadRequest, "patch[0]"},
		"a few aliases":                {apply, aliases(100, 100), 0, ""},
		"aliases of a long text":       {apply, aliases(100000, 400), http.StatusBadRequest, "aliases written out"},
		"aliases of a long text, put":  {yaml, aliases(100000, 400), http.StatusBadRequest, "aliases written out"},
		"aliases, wrong charset":       {apply + "; =", aliases(100000, 400), http.StatusBadRequest, "aliases written out"},
		"aliases of aliases": {apply, "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [" + strings.Repeat("*b,", 40000) + "]\n",
			http.StatusBadRequest, "aliases written out"},
		"an alias of itself":    {apply, "a: &a [*a]\n", http.StatusBadRequest, "aliases written out"},
		"an alias of nothing":   {apply, "a: *a\n", http.StatusBadRequest, "no YAML"},
		"a star that is none":   {apply, "a: 'x*y'\n", 0, ""},
		"stars in JSON":         {apply, `{"a":"&a *a"}`, 0, ""},
		"YAML as short as JSON": {apply, "{spec: {maxUnavailable: 1}}", http.StatusUnprocessableEntity, "spec.maxUnavailable"},
		"YAML that is no YAML":  {apply, "a: [\n", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := NewBody(test.media, []byte(test.body)).Check("node1")
			if test.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			answer(t, err, test.code, test.says)
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
