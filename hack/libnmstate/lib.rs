// SPDX-License-Identifier: Apache-2.0
// libnmstate's C library, as nmstate-clib has it; nmstate_generate_revert, which only the Rust library has; and
// nmstate_net_state_retrieve_with, which only the patched one has.
// NMSTATE_CLIB is the folder of nmstate-clib's sources; build.sh sets it.
include!(concat!(env!("NMSTATE_CLIB"), "/lib.rs"));

mod answers;
mod gen_revert;
