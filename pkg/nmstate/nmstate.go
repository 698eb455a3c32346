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
#include <stdlib.h>
#include <string.h>
#include <nmstate.h>

#ifdef __GLIBC__
#include <malloc.h>

// All calls share one heap: each of Go's threads that makes some would keep one of its own, and calls do not overlap. It gives nothing back
// by itself while a call goes on. All this is set before there is any other thread.
__attribute__((constructor)) static void share_heap(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
}
#endif

// give_back gives what is free in the heap back to the system if it is much, see malloc_trim(3): 17 MB after a read of 500 interfaces. To have it
// again costs more than it is worth where a read takes little.
static void give_back(void)
{
#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33) // which has mallinfo2
	if (mallinfo2().fordblks > 4 << 20)
		malloc_trim(0);
#else
	malloc_trim(0);
#endif
#endif
}

#if NMSTATE_VERSION < 20250
#error "libnmstate 2.2.50 or later is needed, for nmstate_validate"
#endif

// Only the library that hack/libnmstate builds has nmstate_generate_revert; its nmstate.pc says so.
#ifdef NMSTATE_HAS_REVERT
#include <nmstate_revert.h>
#define HAS_REVERT 1
#else
#define HAS_REVERT 0
static int nmstate_generate_revert(const char *desired, const char *current,
				   char **revert, char **err_kind, char **err_msg)
{
	return NMSTATE_FAIL;
}
#endif
*/
import "C"

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Version is the version of the library's header that this program was built with.
func Version() string {
	return fmt.Sprintf("%d.%d.%d", C.NMSTATE_VERSION_MAJOR, C.NMSTATE_VERSION_MINOR, C.NMSTATE_VERSION_MICRO)
}

// oneCall serialises the calls, see the package's documentation. It guards the C
// library's state, of which a process has one, and no Go data.
var oneCall sync.Mutex

// RetrieveNetState returns the network's current state, as JSON (or YAML), and the
// library's log.
//
//	int nmstate_net_state_retrieve(uint32_t flags, char **state, char **log,
//	                               char **err_kind, char **err_msg);
//
// Since 0.1.
func RetrieveNetState(flags Flags) (state []byte, log string, err error) {
	call := begin("nmstate_net_state_retrieve")
	defer call.end()
	status := C.nmstate_net_state_retrieve(C.uint32_t(flags), &call.out, &call.log, &call.kind, &call.msg)
	return call.result(status)
}

// ApplyNetState applies the state to the network and verifies it, unless flags say
// otherwise. With NoCommit, NetworkManager undoes the change by itself after
// rollback, in whole seconds. It returns the library's log.
//
//	int nmstate_net_state_apply(uint32_t flags, const char *state,
//	                            uint32_t rollback_timeout, char **log,
//	                            char **err_kind, char **err_msg);
//
// Since 0.1.
func ApplyNetState(flags Flags, state []byte, rollback time.Duration) (log string, err error) {
	call := begin("nmstate_net_state_apply")
	defer call.end()
	in, err := call.state(state)
	if err != nil {
		return "", err
	}
	status := C.nmstate_net_state_apply(C.uint32_t(flags), in, C.uint32_t(rollback/time.Second),
		&call.log, &call.kind, &call.msg)
	return call.failure(status)
}

// CommitCheckpoint keeps the changes made since checkpoint; "" means the last
// checkpoint. It returns the library's log.
//
//	int nmstate_checkpoint_commit(const char *checkpoint, char **log,
//	                              char **err_kind, char **err_msg);
//
// Since 0.1.
func CommitCheckpoint(checkpoint string) (log string, err error) {
	call := begin("nmstate_checkpoint_commit")
	defer call.end()
	in, err := call.text("checkpoint", checkpoint)
	if err != nil {
		return "", err
	}
	status := C.nmstate_checkpoint_commit(in, &call.log, &call.kind, &call.msg)
	return call.failure(status)
}

// RollbackCheckpoint undoes the changes made since checkpoint; "" means the last
// checkpoint. It returns the library's log.
//
//	int nmstate_checkpoint_rollback(const char *checkpoint, char **log,
//	                                char **err_kind, char **err_msg);
//
// Since 0.1.
func RollbackCheckpoint(checkpoint string) (log string, err error) {
	call := begin("nmstate_checkpoint_rollback")
	defer call.end()
	in, err := call.text("checkpoint", checkpoint)
	if err != nil {
		return "", err
	}
	status := C.nmstate_checkpoint_rollback(in, &call.log, &call.kind, &call.msg)
	return call.failure(status)
}

// GenerateConfigurations returns the configuration files for the state, as a map
// from backend to files, and the library's log. It does not touch the network.
//
//	int nmstate_generate_configurations(const char *state, char **configs,
//	                                    char **log, char **err_kind,
//	                                    char **err_msg);
//
// Since 0.1.
func GenerateConfigurations(state []byte) (configs []byte, log string, err error) {
	call := begin("nmstate_generate_configurations")
	defer call.end()
	in, err := call.state(state)
	if err != nil {
		return nil, "", err
	}
	return call.result(C.nmstate_generate_configurations(in, &call.out, &call.log, &call.kind, &call.msg))
}

// NetStateFromPolicy returns the state that the policy yields on a network whose
// state is current, and the library's log.
//
//	int nmstate_net_state_from_policy(const char *policy,
//	                                  const char *current_state, char **state,
//	                                  char **log, char **err_kind, char **err_msg);
//
// Since 2.2.0.
func NetStateFromPolicy(policy, current []byte) (state []byte, log string, err error) {
	call := begin("nmstate_net_state_from_policy")
	defer call.end()
	inPolicy, err := call.input("policy", policy)
	if err != nil {
		return nil, "", err
	}
	inCurrent, err := call.input("current state", current)
	if err != nil {
		return nil, "", err
	}
	return call.result(C.nmstate_net_state_from_policy(inPolicy, inCurrent, &call.out, &call.log, &call.kind, &call.msg))
}

// GenerateDifferences returns the part of newState that oldState lacks.
//
//	int nmstate_generate_differences(const char *new_state, const char *old_state,
//	                                 char **diff_state, char **err_kind, char **err_msg);
//
// Since 2.2.31.
func GenerateDifferences(newState, oldState []byte) ([]byte, error) {
	call := begin("nmstate_generate_differences")
	defer call.end()
	inNew, err := call.input("new state", newState)
	if err != nil {
		return nil, err
	}
	inOld, err := call.input("old state", oldState)
	if err != nil {
		return nil, err
	}
	out, _, err := call.result(C.nmstate_generate_differences(inNew, inOld, &call.out, &call.kind, &call.msg))
	return out, err
}

// GenerateRevert returns the state that undoes desired, as JSON, when it is applied after
// desired. current is the network before, with its secrets. It does not touch the network.
//
// A system's libnmstate does not have the function, see hack/libnmstate. With such a library
// the error is of the kind DependencyError; CanGenerateRevert tells beforehand.
//
//	int nmstate_generate_revert(const char *desired, const char *current,
//	                            char **revert, char **err_kind, char **err_msg);
func GenerateRevert(desired, current []byte) ([]byte, error) {
	call := begin("nmstate_generate_revert")
	defer call.end()
	if !CanGenerateRevert() {
		return nil, &Error{Op: call.op, Kind: DependencyError, Msg: "this program was built with a libnmstate that has no such function"}
	}
	inDesired, err := call.input("desired state", desired)
	if err != nil {
		return nil, err
	}
	inCurrent, err := call.input("current state", current)
	if err != nil {
		return nil, err
	}
	out, _, err := call.result(C.nmstate_generate_revert(inDesired, inCurrent, &call.out, &call.kind, &call.msg))
	return out, err
}

// CanGenerateRevert tells whether the library that this program was built with has what
// GenerateRevert calls.
func CanGenerateRevert() bool { return C.HAS_REVERT != 0 }

// FormatNetState returns state in nmstate's own order and layout.
//
//	int nmstate_net_state_format(const char *state, char **formated_state,
//	                             char **err_kind, char **err_msg);
//
// Since 2.2.32.
func FormatNetState(state []byte) ([]byte, error) {
	call := begin("nmstate_net_state_format")
	defer call.end()
	in, err := call.input("state", state)
	if err != nil {
		return nil, err
	}
	out, _, err := call.result(C.nmstate_net_state_format(in, &call.out, &call.kind, &call.msg))
	return out, err
}

// Validate returns what is wrong with a state or policy, without applying it. If
// current is nil, the library checks only what needs no current state.
//
// The library parses its input as a policy first, then as a state. If both fail, it
// leaks the text of the first error, about 0.25 kB for each refused state
// (nmstate_validate of 2.2.62; TestWhatValidateLeaks measures it). A long-lived
// process should validate in a child process, as the agent does.
//
//	int nmstate_validate(const char *state_or_policy, const char *current_state,
//	                     char **err_kind, char **err_msg);
//
// Since 2.2.50.
func Validate(stateOrPolicy, current []byte) error {
	call := begin("nmstate_validate")
	defer call.end()
	in, err := call.input("state or policy", stateOrPolicy)
	if err != nil {
		return err
	}
	var inCurrent *C.char
	if current != nil {
		if inCurrent, err = call.input("current state", current); err != nil {
			return err
		}
	}
	_, err = call.failure(C.nmstate_validate(in, inCurrent, &call.kind, &call.msg))
	return err
}

// cCall is one call of the library: its name, its input strings and its output
// strings.
type cCall struct {
	op                  string
	in                  []*C.char
	out, log, kind, msg *C.char
	// givesBack tells that the library itself gives back what the call has used, after the call.
	givesBack bool
}

func begin(op string) *cCall {
	oneCall.Lock()
	return &cCall{op: op}
}

// end frees all strings and lets the next call begin. Most of the time there is no call, so
// what this one has used goes back to the system if it is much, and unless the library sees to that.
func (c *cCall) end() {
	for _, in := range c.in {
		C.free(unsafe.Pointer(in))
	}
	for _, out := range []*C.char{c.out, c.log, c.kind, c.msg} {
		C.nmstate_cstring_free(out)
	}
	if !c.givesBack {
		C.give_back()
	}
	oneCall.Unlock()
}

// input is text for a value that must not be empty.
func (c *cCall) input(what string, value []byte) (*C.char, error) {
	if len(value) == 0 {
		return nil, &Error{Op: c.op, Kind: InvalidArgument, Msg: "the " + what + " is empty"}
	}
	return c.text(what, string(value))
}

// state is input for functions that have a log. It refuses a state that the library
// cannot parse: for such a state nmstate_net_state_apply and
// nmstate_generate_configurations of 2.2.62 return without draining the log, which
// then grows for as long as the process lives. nmstate_net_state_format parses in
// the same way and has no log.
func (c *cCall) state(value []byte) (*C.char, error) {
	in, err := c.input("state", value)
	if err != nil {
		return nil, err
	}
	var formatted *C.char
	status := C.nmstate_net_state_format(in, &formatted, &c.kind, &c.msg)
	C.nmstate_cstring_free(formatted)
	if status != C.NMSTATE_PASS {
		_, err := c.failure(status)
		return nil, err
	}
	return in, nil
}

// text makes a C string of value. It refuses a NUL byte, at which C would cut the
// string.
func (c *cCall) text(what, value string) (*C.char, error) {
	if at := strings.IndexByte(value, 0); at >= 0 {
		return nil, &Error{Op: c.op, Kind: InvalidArgument, Msg: fmt.Sprintf("the %s has a NUL byte at %d", what, at)}
	}
	in := C.CString(value)
	c.in = append(c.in, in)
	return in, nil
}

// result copies the library's output strings and makes an Error of a failure.
func (c *cCall) result(status C.int) (out []byte, log string, err error) {
	if log, err = c.failure(status); err != nil || c.out == nil {
		return nil, log, err
	}
	return C.GoBytes(unsafe.Pointer(c.out), C.int(C.strlen(c.out))), log, nil
}

// failure returns the library's log, and an Error if the call has failed.
func (c *cCall) failure(status C.int) (log string, err error) {
	if log = C.GoString(c.log); status == C.NMSTATE_PASS {
		return log, nil
	}
	return log, &Error{Op: c.op, Kind: ErrorKind(C.GoString(c.kind)), Msg: C.GoString(c.msg), Log: log}
}
