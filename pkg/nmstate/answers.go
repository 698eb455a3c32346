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

package nmstate

/*
#cgo pkg-config: nmstate
#include <stdbool.h>
#include <nmstate.h>

// Only the library that hack/libnmstate builds keeps answers; its nmstate.pc says so.
#ifdef NMSTATE_HAS_ANSWERS
#include <nmstate_answers.h>
#define HAS_ANSWERS 1
#else
#define HAS_ANSWERS 0
struct nmstate_answers;
static int nmstate_net_state_retrieve_with(uint32_t flags, bool ask_meanwhile, struct nmstate_answers **answers,
					   char **state, char **log, char **err_kind, char **err_msg)
{
	return nmstate_net_state_retrieve(flags, state, log, err_kind, err_msg);
}
static void nmstate_net_state_settle(void) {}
static char *nmstate_answers_applied(const struct nmstate_answers *answers) { return NULL; }
static void nmstate_answers_free(struct nmstate_answers *answers) {}
#endif
*/
import "C"

import "encoding/json"

// Answers are what NetworkManager has answered when it was asked last, with the secrets of its profiles. The zero value holds
// none. They are not for concurrent use.
type Answers struct {
	kept *C.struct_nmstate_answers
}

// Asking says whether NetworkManager is asked in a read, and when.
type Asking int

const (
	// AskLast is what libnmstate does by itself: it asks when it has read the kernel. What is answered is newer than what was read.
	AskLast Asking = iota
	// AskMeanwhile asks while it reads the kernel, which takes less time. What is answered may be older than what was read.
	AskMeanwhile
	// Hold does not ask: NetworkManager would answer as it has answered the last call.
	Hold
)

// RetrieveNetState is RetrieveNetState, as JSON. All but what NetworkManager answers is read anew. flags are 0 or KernelOnly.
//
// A system's libnmstate keeps no answers, see hack/libnmstate: with it, NetworkManager is asked each time, last.
//
//	int nmstate_net_state_retrieve_with(uint32_t flags, bool ask_meanwhile,
//	                                    struct nmstate_answers **answers,
//	                                    char **state, char **log,
//	                                    char **err_kind, char **err_msg);
func (a *Answers) RetrieveNetState(flags Flags, ask Asking) (state, log string, err error) {
	call := begin("nmstate_net_state_retrieve_with")
	call.givesBack = CanKeepAnswers()
	defer call.end()
	if ask != Hold {
		a.free()
	}
	status := C.nmstate_net_state_retrieve_with(C.uint32_t(flags), C.bool(ask == AskMeanwhile), &a.kept, &call.out, &call.log, &call.kind, &call.msg)
	log, err = call.failure(status)
	return C.GoString(call.out), log, err
}

// Applied returns the devices that had a profile applied, by D-Bus object path, and which version of it they had when NetworkManager
// was asked for that profile: as of GetAppliedConnection of NetworkManager's D-Bus API. nil if no answers are held.
//
//	char *nmstate_answers_applied(const struct nmstate_answers *answers);
func (a *Answers) Applied() (versions map[string]uint64, err error) {
	call := begin("nmstate_answers_applied")
	defer call.end()
	if call.out = C.nmstate_answers_applied(a.kept); call.out == nil {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(C.GoString(call.out)), &versions); err != nil {
		return nil, &Error{Op: call.op, Kind: Bug, Msg: err.Error()}
	}
	return versions, nil
}

// CanKeepAnswers tells whether the library that this program was built with keeps answers. Then it has our patches.
func CanKeepAnswers() bool { return C.HAS_ANSWERS != 0 }

// settle waits until all is given back that the last call of Answers.RetrieveNetState has used.
//
//	void nmstate_net_state_settle(void);
func settle() { C.nmstate_net_state_settle() }

// Close frees them.
//
//	void nmstate_answers_free(struct nmstate_answers *answers);
func (a *Answers) Close() {
	oneCall.Lock()
	defer oneCall.Unlock()
	a.free()
}

// free frees them. The caller holds oneCall.
func (a *Answers) free() {
	C.nmstate_answers_free(a.kept)
	a.kept = nil
}
