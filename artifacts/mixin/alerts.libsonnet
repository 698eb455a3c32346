// SPDX-License-Identifier: Apache-2.0
{
  local config = $._config,
  local by = std.join(', ', config.nodeLabels),
  // of returns the selector of a metric with the given matchers.
  local of(metric, matchers=[]) =
    local all = std.filter(function(m) m != '', matchers + [config.selector]);
    if all == [] then metric else '%s{%s}' % [metric, std.join(', ', all)],
  local condition(type, matchers) = of('nmstate_node_condition', ['condition="%s"' % type] + matchers),
  local alert(name, expr, forTime, severity, summary, description) = {
    alert: name,
    expr: expr,
    'for': forTime,
    labels: { severity: severity },
    annotations: {
      summary: summary,
      description: description,
      runbook_url: '%s#%s' % [config.runbookURL, std.asciiLower(name)],
    },
  },

  prometheusAlerts+:: {
    groups+: [{
      name: 'nmstate-nodes',
      rules: [
        alert(
          'NodeNetworkUnavailable',
          'max by (%s) (%s) == 1' % [by, condition('Available', ['status!="True"'])],
          config.unavailableFor,
          'warning',
          'The network of node {{ $labels.node }} cannot be read.',
          "The condition Available of NodeNetworkState {{ $labels.node }} is not True: the node's agent cannot be asked, or cannot read the network. The network cannot be changed meanwhile.",
        ),
        alert(
          'NodeNetworkDrifted',
          'max by (%s) (%s) == 1' % [by, condition('InSync', ['status="False"'])],
          config.driftedFor,
          'warning',
          'The network of node {{ $labels.node }} is not as desired.',
          'Something outside of this API has changed what spec.desiredState of NodeNetworkState {{ $labels.node }} says. status.difference shows what differs.',
        ),
        alert(
          'RollbackIncomplete',
          'max by (%s) (%s) == 1' % [by, condition('Failing', ['status="True"', 'reason="RollbackIncomplete"'])],
          config.rollbackIncompleteFor,
          'critical',
          'A change of node {{ $labels.node }} failed and could not be undone completely.',
          'A change of the network of node {{ $labels.node }} was rolled back, and the network is not as it was before. The condition Failing names what could not be put back.',
        ),
        alert(
          'RecordNotWritable',
          'max by (%s, reason) (%s) == 1' % [by, condition('Failing', ['status="True"', 'reason=~"RecordNotWritable|RecordDamaged"'])],
          config.recordNotWritableFor,
          'warning',
          'The agent of node {{ $labels.node }} cannot keep its record ({{ $labels.reason }}).',
          'The agent of node {{ $labels.node }} keeps the desired state in /var/lib/nmstate-agent on the node, and cannot write or read it there. Changes are refused, or are forgotten when the agent ends.',
        ),
        alert(
          'ConfirmationExpired',
          |||
            max by (%(by)s) (%(apply)s) == 1
              and on (%(by)s)
            time() - max by (%(by)s) (%(time)s) < %(seconds)d
          ||| % {
            by: by,
            apply: of('nmstate_node_last_apply', ['outcome="RolledBack"', 'reason="NotConfirmed"']),
            time: of('nmstate_node_last_apply_timestamp_seconds'),
            seconds: config.confirmationExpiredSeconds,
          },
          config.confirmationExpiredFor,
          'warning',
          'A change of node {{ $labels.node }} was rolled back because nothing confirmed it.',
          'The last change of the network of node {{ $labels.node }} was taken back: the node could not be reached with it, a probe failed, or no user confirmed it in time. status.lastApply says which.',
        ),
      ],
    }, {
      name: 'nmstate-servers',
      rules: [
        alert(
          'NoActiveServer',
          'absent(%s == 1)' % of('nmstate_apiserver_active'),
          config.noActiveServerFor,
          'critical',
          'No API server of nmstate is active.',
          'No server says that it is the active one, or Prometheus reaches none: NodeNetworkStates are neither served nor changed, and namespaces that are being deleted hang. The networks of the nodes stay as they are.',
        ),
        alert(
          'AgentsRefused',
          'sum(rate(%s[10m])) > 0' % of('nmstate_agent_events_total', ['event="refused"']),
          config.agentsRefusedFor,
          'warning',
          'Agents are refused by the API server of nmstate.',
          'Somebody who is not the agent of a node tries to connect again and again ({{ printf "%.2f" $value }} times a second): an agent whose token or version does not fit, or an intruder. The log of the active server names address and reason.',
        ),
        alert(
          'BarrierSlow',
          'histogram_quantile(0.9, sum by (le) (rate(%s[10m]))) > %d' % [of('nmstate_agent_barrier_duration_seconds_bucket'), config.barrierSlowSeconds],
          config.barrierSlowFor,
          'warning',
          'Reading the networks of nodes takes long.',
          'One of ten answers of agents takes longer than {{ $value | humanizeDuration }}: reads of NodeNetworkStates, which wait for them, are slow.',
        ),
      ],
    }],
  },
}
