/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NMSTATE_REVERT_H
#define NMSTATE_REVERT_H

/**
 * nmstate_generate_revert - The state that undoes a desired state
 *
 * It is a part of the library that hack/libnmstate builds, and of no other.
 *
 * @desired: the desired state, as JSON or YAML
 * @current: the state before it is applied, with its secrets
 * @revert: set to the state to apply afterwards, as JSON; on failure to NULL
 * @err_kind, @err_msg: set on failure
 *
 * What is returned is freed with nmstate_cstring_free().
 *
 * Return: NMSTATE_PASS or NMSTATE_FAIL
 */
int nmstate_generate_revert(const char *desired, const char *current,
			    char **revert, char **err_kind, char **err_msg);

#endif
