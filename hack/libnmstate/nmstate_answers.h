/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NMSTATE_ANSWERS_H
#define NMSTATE_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct nmstate_answers - What NetworkManager has answered
 *
 * It holds the secrets of profiles.
 */
struct nmstate_answers;

/**
 * nmstate_net_state_retrieve_with - nmstate_net_state_retrieve, with what NetworkManager has answered before
 *
 * It is a part of the library that hack/libnmstate builds, and of no other.
 * The state is JSON. It has all that is read from the kernel, Open vSwitch and files anew.
 *
 * @flags: 0 or NMSTATE_FLAG_KERNEL_ONLY
 * @ask_meanwhile: NetworkManager is asked while the kernel is read: its answers may be older than what was read. If
 *	false, it is asked after the kernel was read, as nmstate_net_state_retrieve does.
 * @answers: points to what a call has left there, if NetworkManager would answer the same now; that
 *	is for the caller to know. Else to NULL: then NetworkManager is asked. Set to what
 *	it has answered, on failure to NULL.
 * @state, @log, @err_kind, @err_msg: as of nmstate_net_state_retrieve
 *
 * Return: NMSTATE_PASS or NMSTATE_FAIL
 */
int nmstate_net_state_retrieve_with(uint32_t flags, bool ask_meanwhile,
				    struct nmstate_answers **answers,
				    char **state, char **log,
				    char **err_kind, char **err_msg);

/**
 * nmstate_net_state_settle - Waits until all is given back that the last nmstate_net_state_retrieve_with has used
 *
 * That function returns as soon as it has the state. The rest is freed, and given back to the system, meanwhile.
 */
void nmstate_net_state_settle(void);

/**
 * nmstate_answers_applied - Tells which profiles devices of NetworkManager had applied
 *
 * Return: a JSON object of the devices that have one: by D-Bus object path, the version
 *	of the applied profile as the answers have it (NetworkManager's
 *	GetAppliedConnection). To be freed by nmstate_cstring_free. NULL without answers.
 */
char *nmstate_answers_applied(const struct nmstate_answers *answers);

/**
 * nmstate_answers_free - Frees what nmstate_net_state_retrieve_with has left; NULL is none.
 */
void nmstate_answers_free(struct nmstate_answers *answers);

#endif
