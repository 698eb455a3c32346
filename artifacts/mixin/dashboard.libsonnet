// SPDX-License-Identifier: Apache-2.0
{
  local config = $._config,
  local by = std.join(', ', config.nodeLabels),
  // of returns the selector of a metric with the given matchers and those of the dashboard's variables.
  local of(metric, matchers=[]) =
    '%s{%s}' % [metric, std.join(', ', std.filter(function(m) m != '', matchers + [config.selector, 'job=~"$job"']))],
  local ofNodes(metric, matchers=[]) = of(metric, matchers + ['node=~"$node"']),

  local datasource = { type: 'prometheus', uid: '${datasource}' },
  local target(expr, legend, extra={}) = { datasource: datasource, expr: expr, legendFormat: legend } + extra,
  local panel(type, title, description, x, y, w, h, targets, unit, extra={}) = {
    type: type,
    title: title,
    description: description,
    datasource: datasource,
    gridPos: { x: x, y: y, w: w, h: h },
    targets: [targets[i] { refId: std.char(65 + i) } for i in std.range(0, std.length(targets) - 1)],
    fieldConfig: { defaults: { unit: unit, min: 0 }, overrides: [] },
  } + extra,
  local stat(title, description, x, targets, bad=null) = panel('stat', title, description, x, 0, 4, 4, targets, 'short', {
    options: { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'background', graphMode: 'none', textMode: 'auto', justifyMode: 'auto', orientation: 'auto', wideLayout: true, showPercentChange: false, percentChangeColorMode: 'standard' },
    fieldConfig+: { defaults+: { noValue: '0', thresholds: {
      mode: 'absolute',
      steps: [{ color: 'green', value: null }] + (if bad == null then [] else [{ color: bad, value: 1 }]),
    } } },
  }),
  local graph(title, description, x, y, targets, unit) = panel('timeseries', title, description, x, y, 12, 8, targets, unit, {
    fieldConfig+: { defaults+: { custom: { fillOpacity: 10, showPoints: 'never' } } },
    options: { legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] }, tooltip: { mode: 'multi', sort: 'desc' } },
  }),
  local table(title, description, x, y, targets, hidden) = panel('table', title, description, x, y, 12, 8, targets, 'short', {
    transformations: [{ id: 'organize', options: { excludeByName: { [name]: true for name in ['Time', 'Value', '__name__'] + hidden } } }],
  }),
  local instant = { instant: true, format: 'table' },

  local query(name, label, definition, metric) = {
    name: name,
    label: label,
    type: 'query',
    datasource: datasource,
    query: { query: definition, refId: metric },
    definition: definition,
    includeAll: true,
    multi: true,
    allValue: '.+',
    current: { text: ['All'], value: ['$__all'] },
    refresh: 2,
    sort: 1,
  },

  grafanaDashboards+:: {
    'dashboard.json': {
      title: 'Networks of nodes (nmstate)',
      uid: 'nmstate',
      description: 'NodeNetworkStates: what is wrong with the networks of nodes, how changes went, and how the server and the agents do.',
      tags: ['nmstate', 'kubernetes'],
      editable: true,
      graphTooltip: 1,
      refresh: '1m',
      schemaVersion: 39,
      timezone: 'browser',
      time: { from: 'now-6h', to: 'now' },
      annotations: { list: [] },
      templating: { list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: { text: '', value: '' }, hide: 0 },
        query('job', 'Job', 'label_values(nmstate_apiserver_active, job)', 'job'),
        query('node', 'Node', 'label_values(nmstate_node_condition{job=~"$job"}, node)', 'node'),
      ] },
      panels: std.mapWithIndex(function(i, panel) panel { id: i + 1 }, [
        stat('Nodes', 'Nodes that the server knows.', 0, [target('count(max by (%s) (%s))' % [by, ofNodes('nmstate_node_condition', ['condition="Available"'])], '')]),
        stat('Not available', 'Nodes whose network cannot be read.', 4, [target('count(max by (%s) (%s))' % [by, ofNodes('nmstate_node_condition', ['condition="Available"', 'status!="True"'])], '')], 'red'),
        stat('Drifted', 'Nodes that do not match their desired state.', 8, [target('count(max by (%s) (%s))' % [by, ofNodes('nmstate_node_condition', ['condition="InSync"', 'status="False"'])], '')], 'orange'),
        stat('Failing', 'Nodes whose last change failed, or whose agent cannot keep its record.', 12, [target('count(max by (%s) (%s))' % [by, ofNodes('nmstate_node_condition', ['condition="Failing"', 'status="True"'])], '')], 'red'),
        stat('Await confirmation', 'Changes that a user is to confirm.', 16, [target('count(max by (%s) (%s))' % [by, ofNodes('nmstate_node_confirm_before_timestamp_seconds')], '')], 'blue'),
        stat('Active servers', 'Servers that serve NodeNetworkStates: there should be one.', 20, [target('sum(%s)' % of('nmstate_apiserver_active'), '')]),
        table('What is wrong', 'Conditions that are not as they should be.', 0, 4, [
          target('max by (%s, condition, status, reason) (%s or %s)' % [
            by,
            ofNodes('nmstate_node_condition', ['condition=~"Available|InSync"', 'status!="True"']),
            ofNodes('nmstate_node_condition', ['condition="Failing"', 'status!="False"']),
          ], '', instant),
        ], []),
        table('Last changes', 'How the last change of each node ended.', 12, 4, [
          target('max by (%s, outcome, reason) (%s)' % [by, ofNodes('nmstate_node_last_apply')], '', instant),
        ], []),
        graph('Nodes by condition', 'Nodes that are not available, have drifted, or fail, by reason.', 0, 12, [
          target('count by (condition, reason) (max by (%s, condition, reason) (%s or %s))' % [
            by,
            ofNodes('nmstate_node_condition', ['condition=~"Available|InSync"', 'status!="True"']),
            ofNodes('nmstate_node_condition', ['condition="Failing"', 'status!="False"']),
          ], '{{condition}}: {{reason}}'),
        ], 'short'),
        graph('Time since the last change', 'Seconds since the last change of each node ended, or began.', 12, 12, [
          target('time() - max by (%s) (%s)' % [by, ofNodes('nmstate_node_last_apply_timestamp_seconds')], '{{node}}'),
        ], 's'),
        graph('Interfaces that are down', 'Interfaces of each node that are not up.', 0, 20, [
          target('max by (%s) (%s) - max by (%s) (%s)' % [by, ofNodes('nmstate_node_interfaces'), by, ofNodes('nmstate_node_interfaces_up')], '{{node}}'),
        ], 'short'),
        graph('Changes', 'Changes a second, by outcome.', 12, 20, [
          target('sum by (outcome) (rate(%s[$__rate_interval]))' % of('nmstate_agent_apply_duration_seconds_count'), '{{outcome}}'),
        ], 'ops'),
        graph('How long changes take', 'Of changes that were committed.', 0, 28, [
          target('histogram_quantile(%s, sum by (le) (rate(%s[$__rate_interval])))' % [q, of('nmstate_agent_apply_duration_seconds_bucket', ['outcome="Committed"'])], q)
          for q in ['0.5', '0.9', '0.99']
        ], 's'),
        graph('How long nodes take to answer', 'Until an agent has proved that all that had changed on its node was sent.', 12, 28, [
          target('histogram_quantile(%s, sum by (le) (rate(%s[$__rate_interval])))' % [q, of('nmstate_agent_barrier_duration_seconds_bucket')], q)
          for q in ['0.5', '0.9', '0.99']
        ], 's'),
        graph('Agents', 'Agents with a stream to the active server.', 0, 36, [
          target('sum(%s)' % of('nmstate_agents_connected'), 'connected'),
        ], 'short'),
        graph('Events of agents', 'What happens to agents and their streams, a second.', 12, 36, [
          target('sum by (event) (rate(%s[$__rate_interval]))' % of('nmstate_agent_events_total'), '{{event}}'),
        ], 'ops'),
        graph('Reads of networks', 'Reads a second that readers have caused, and readers that had to wait and then shared one.', 0, 44, [
          target('sum(rate(%s[$__rate_interval]))' % of('nmstate_agent_reads_total'), 'reads'),
          target('sum(rate(%s[$__rate_interval]))' % of('nmstate_agent_reads_delayed_total'), 'delayed'),
        ], 'ops'),
        graph('Requests', 'Requests for NodeNetworkStates a second.', 12, 44, [
          target('sum by (verb, code) (rate(%s[$__rate_interval]))' % of('apiserver_request_total', ['group="nmstate.io"']), '{{verb}} {{code}}'),
        ], 'reqps'),
        graph('States in memory', 'What all agents show, and past states that are held for watches.', 0, 52, [
          target('sum(%s)' % of('nmstate_agent_state_bytes'), 'now'),
          target('sum(%s)' % of('nmstate_history_bytes'), 'past'),
        ], 'bytes'),
        graph('Memory of the server', 'Memory that the processes have.', 12, 52, [
          target('max by (instance) (%s)' % of('process_resident_memory_bytes'), '{{instance}}'),
        ], 'bytes'),
      ]),
    },
  },
}
