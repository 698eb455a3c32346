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

// Command agent stands for a binary that needs shared libraries, the same ones as node-agent.
package main

// #cgo LDFLAGS: -Wl,--no-as-needed -lgcc_s -lm
// #include <math.h>
import "C"

import "fmt"

func main() { fmt.Println("it runs", C.sqrt(4)) }
