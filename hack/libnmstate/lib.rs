// SPDX-License-Identifier: Apache-2.0
// libnmstate's C library, as nmstate-clib has it, and nmstate_generate_revert, which only the Rust library has.
// NMSTATE_CLIB is the folder of nmstate-clib's sources; build.sh sets it.
include!(concat!(env!("NMSTATE_CLIB"), "/lib.rs"));

mod gen_revert;
