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

package tree

import (
	"testing"
)

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		a, b any
		want bool
	}{
		{"1500", float64(1500), true},
		{nil, nil, true},
		{nil, "", false},
		{"2001:db8::0:1", "2001:DB8::1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"02:00:00:00:00:aa", "02:00:00:00:00:AA", true},
		{"eth1", "ETH1", false},
		{true, "true", true},
	} {
		if got := SameValue(c.a, c.b); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestNumbersAreKeptAsTheyAreWritten, and nothing is escaped that need not be.
func TestNumbersAreKeptAsTheyAreWritten(t *testing.T) {
	const text = `{"a":1.50e3,"b":[18446744073709551615,"<&>"]}`
	root, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Encode(root); err != nil || string(back) != text {
		t.Errorf("%s, %v", back, err)
	}
}

// TestWhatIsOfAnotherTypeIsAbsent: the states are users', and may have anything anywhere.
func TestWhatIsOfAnotherTypeIsAbsent(t *testing.T) {
	root, err := Decode([]byte(`{"interfaces":[{"name":"eth1"},7],"routes":"none"}`))
	if err != nil {
		t.Fatal(err)
	}
	if List(root, "routes") != nil || Object(root["routes"]) != nil || Items(root["routes"]) != nil || StringAt(root, "interfaces") != "" {
		t.Error("a value is taken for what it is not")
	}
	if named := InterfacesByName(root); StringAt(named["eth1"], "name") != "eth1" || len(List(root, "interfaces")) != 2 {
		t.Errorf("the interfaces are %v", named)
	}
}

func TestLeasesAndForeignAddresses(t *testing.T) {
	for text, want := range map[string][2]bool{
		`{"ip":"192.0.2.1"}`:                              {false, false},
		`{"ip":"192.0.2.1","valid-life-time":"forever"}`:  {false, false},
		`{"ip":"192.0.2.1","valid-life-time":"598sec"}`:   {true, false},
		`{"ip":"192.0.2.1","valid-life-time":"dynamic"}`:  {true, false},
		`{"ip":"192.0.2.1","protocol":"0x42"}`:            {false, true},
		`{"ip":"192.0.2.1","protocol":"kernel_loopback"}`: {false, false},
	} {
		address, err := Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{IsDynamic(address), IsForeign(address)}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
