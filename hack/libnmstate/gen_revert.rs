// SPDX-License-Identifier: Apache-2.0

use std::ffi::CString;

use libc::{c_char, c_int};
use nmstate::NmstateError;

use crate::{NMSTATE_FAIL, NMSTATE_PASS, state::c_str_to_net_state};

/// See nmstate_revert.h. It is written as nmstate-clib's nmstate_generate_differences is.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
#[unsafe(no_mangle)]
pub extern "C" fn nmstate_generate_revert(
    desired: *const c_char,
    current: *const c_char,
    revert: *mut *mut c_char,
    err_kind: *mut *mut c_char,
    err_msg: *mut *mut c_char,
) -> c_int {
    assert!(!desired.is_null());
    assert!(!current.is_null());
    assert!(!revert.is_null());
    assert!(!err_kind.is_null());
    assert!(!err_msg.is_null());

    unsafe {
        *revert = std::ptr::null_mut();
        *err_kind = std::ptr::null_mut();
        *err_msg = std::ptr::null_mut();
    }

    let desired = match c_str_to_net_state(desired, err_kind, err_msg) {
        Ok(s) => s,
        Err(rc) => return rc,
    };
    let current = match c_str_to_net_state(current, err_kind, err_msg) {
        Ok(s) => s,
        Err(rc) => return rc,
    };

    let result = desired.generate_revert(&current).and_then(|mut state| {
        // The crate gives an empty map for a column that desired does not
        // change, and applying an empty map removes all that is there.
        if let Some(db) = state.ovsdb.as_mut() {
            db.external_ids = db.external_ids.take().filter(|m| !m.is_empty());
            db.other_config = db.other_config.take().filter(|m| !m.is_empty());
        }
        serde_json::to_string(&state).map_err(|e| {
            // The state itself may have secrets: it is no part of the message.
            NmstateError::new(
                nmstate::ErrorKind::Bug,
                format!("Failed to convert the revert to JSON: {e}"),
            )
        })
    });
    match result {
        Ok(text) => unsafe {
            *revert = CString::new(text).unwrap().into_raw();
            NMSTATE_PASS
        },
        Err(e) => unsafe {
            *err_msg = CString::new(e.msg()).unwrap().into_raw();
            *err_kind =
                CString::new(format!("{}", e.kind())).unwrap().into_raw();
            NMSTATE_FAIL
        },
    }
}
