// SPDX-License-Identifier: Apache-2.0

use std::{
    ffi::CString,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::SystemTime,
};

use libc::{c_char, c_int};
use nmstate::{NetworkState, NmAnswers, NmstateError};

use crate::{
    NMSTATE_FAIL, NMSTATE_PASS, init_logger, query::NMSTATE_FLAG_KERNEL_ONLY,
};

/// See nmstate_answers.h. It is written as nmstate-clib's nmstate_net_state_retrieve is.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
#[unsafe(no_mangle)]
pub extern "C" fn nmstate_net_state_retrieve_with(
    flags: u32,
    ask_meanwhile: bool,
    answers: *mut *mut NmAnswers,
    state: *mut *mut c_char,
    log: *mut *mut c_char,
    err_kind: *mut *mut c_char,
    err_msg: *mut *mut c_char,
) -> c_int {
    assert!(!answers.is_null());
    assert!(!state.is_null());
    assert!(!log.is_null());
    assert!(!err_kind.is_null());
    assert!(!err_msg.is_null());

    nmstate_net_state_settle();
    let kept = unsafe {
        *log = std::ptr::null_mut();
        *state = std::ptr::null_mut();
        *err_kind = std::ptr::null_mut();
        *err_msg = std::ptr::null_mut();
        take(answers)
    };
    let logger = match init_logger() {
        Ok(l) => l,
        Err(e) => {
            unsafe {
                *err_msg = CString::new(format!("Failed to setup logger: {e}"))
                    .unwrap()
                    .into_raw();
            }
            return NMSTATE_FAIL;
        }
    };
    let now = SystemTime::now();
    let kernel_only = flags & NMSTATE_FLAG_KERNEL_ONLY > 0;
    let (result, kept) = on_a_thread(kernel_only, ask_meanwhile, kept);
    unsafe {
        *log = CString::new(logger.drain(now)).unwrap().into_raw();
    }
    match result {
        Ok(text) => unsafe {
            if let Some(kept) = kept {
                *answers = Box::into_raw(Box::new(kept));
            }
            *state = CString::new(text).unwrap().into_raw();
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

fn retrieve(
    net_state: &mut NetworkState,
    kept: &mut Option<NmAnswers>,
    ask_meanwhile: bool,
) -> Result<String, NmstateError> {
    let read = net_state.retrieve_with(kept, ask_meanwhile)?;
    // The state itself may have secrets: it is no part of the message.
    serde_json::to_string(read)
        .map_err(|e| bug(format!("Failed to convert the state to JSON: {e}")))
}

/// Reads on a thread that ends with the read. Each thread that allocates keeps
/// some 240 kB of small pieces for its next allocations (tcache of malloc(3)),
/// and each piece keeps the page that it is on. The caller's threads are many,
/// and last. Nobody waits until the state is taken apart, piece by piece, and
/// the memory is given back: another thread sees to that.
fn on_a_thread(
    kernel_only: bool,
    ask_meanwhile: bool,
    mut kept: Option<NmAnswers>,
) -> (Result<String, NmstateError>, Option<NmAnswers>) {
    let (tell, told) = mpsc::channel();
    let read = move || {
        let mut net_state = NetworkState::new();
        net_state.set_kernel_only(kernel_only);
        let result = retrieve(&mut net_state, &mut kept, ask_meanwhile);
        let is_large = result.as_ref().is_ok_and(|text| text.len() > LARGE);
        let _ = tell.send((result, kept));
        is_large
    };
    let started = thread::Builder::new().spawn(move || {
        if let Ok(reads) = thread::Builder::new().stack_size(STACK).spawn(read)
        {
            if reads.join().unwrap_or(true) {
                unsafe { libc::malloc_trim(0) };
            }
        }
    });
    match started {
        Ok(thread) => *last_read() = Some(thread),
        Err(e) => {
            return (Err(bug(format!("Failed to start a thread: {e}"))), None);
        }
    }
    told.recv().unwrap_or_else(|_| {
        (Err(bug("A read has panicked, or could not start".to_string())), None)
    })
}

/// The thread that ends after the last read, and may not have ended yet.
static LAST_READ: Mutex<Option<thread::JoinHandle<()>>> = Mutex::new(None);

fn last_read() -> MutexGuard<'static, Option<thread::JoinHandle<()>>> {
    LAST_READ.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See nmstate_answers.h.
#[unsafe(no_mangle)]
pub extern "C" fn nmstate_net_state_settle() {
    let thread = last_read().take();
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

/// The size in bytes of a state from which on a read has used 4 MB or more. To
/// have less than that again costs more than it is worth.
const LARGE: usize = 128 << 10;

/// What Linux gives a program's first thread, in bytes.
const STACK: usize = 8 << 20;

fn bug(msg: String) -> NmstateError {
    NmstateError::new(nmstate::ErrorKind::Bug, msg)
}

/// See nmstate_answers.h.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
#[unsafe(no_mangle)]
pub extern "C" fn nmstate_answers_applied(
    answers: *const NmAnswers,
) -> *mut c_char {
    let kept = match unsafe { answers.as_ref() } {
        Some(kept) => kept.applied_versions(),
        None => return std::ptr::null_mut(),
    };
    let text = serde_json::to_string(kept).expect("texts and numbers");
    CString::new(text).unwrap().into_raw()
}

/// See nmstate_answers.h.
#[allow(clippy::not_unsafe_ptr_arg_deref)]
#[unsafe(no_mangle)]
pub extern "C" fn nmstate_answers_free(mut answers: *mut NmAnswers) {
    unsafe { take(&mut answers) };
}

unsafe fn take(answers: *mut *mut NmAnswers) -> Option<NmAnswers> {
    unsafe {
        let kept = std::mem::replace(&mut *answers, std::ptr::null_mut());
        if kept.is_null() {
            return None;
        }
        Some(*Box::from_raw(kept))
    }
}
