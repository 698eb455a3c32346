// SPDX-License-Identifier: Apache-2.0
// What can be set from outside: (import 'mixin.libsonnet') + { _config+:: { unavailableFor: '5m' } }.
{
  _config+:: {
    // Label matchers of all series, such as 'job="nmstate-apiserver", cluster="a"'. Empty: all series of the names.
    selector: '',
    // Labels by which nodes are told apart, such as ['cluster', 'node'] if one Prometheus watches several clusters.
    nodeLabels: ['node'],
    // The part of runbook_url before the section.
    runbookURL: 'https://github.com/nmstate/kubernetes-nmstate/blob/main/docs/runbook.md',

    // How long what an alert is about has to last before the alert fires.
    unavailableFor: '10m',
    driftedFor: '15m',
    rollbackIncompleteFor: '0s',
    recordNotWritableFor: '5m',
    confirmationExpiredFor: '0s',
    noActiveServerFor: '5m',
    agentsRefusedFor: '10m',
    barrierSlowFor: '15m',

    // For how many seconds ConfirmationExpired fires after the change was rolled back.
    confirmationExpiredSeconds: 3600,
    // How many seconds the slowest tenth of the nodes' answers may take.
    barrierSlowSeconds: 2,
  },
}
