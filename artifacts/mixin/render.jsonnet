// SPDX-License-Identifier: Apache-2.0
// All files that are made of the mixin, by their paths in artifacts/: jsonnet -S -m artifacts artifacts/mixin/render.jsonnet
local mixin = import 'mixin.libsonnet';
local header = '# SPDX-License-Identifier: Apache-2.0\n# Made of artifacts/mixin by make update.\n';
local yaml(value) = header + std.manifestYamlDoc(value, indent_array_in_object=false, quote_keys=false) + '\n';
local alerts = yaml(mixin.prometheusAlerts);
local dashboard = std.manifestJsonEx(mixin.grafanaDashboards['dashboard.json'], '  ') + '\n';
{
  'mixin/rendered/alerts.yaml': alerts,
  'mixin/rendered/dashboard.json': dashboard,
  'chart/files/alerts.yaml': alerts,
  'chart/files/dashboard.json': dashboard,
  'components/prometheus-rule/prometheus-rule.yaml': yaml({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'nmstate-apiserver', namespace: 'nmstate-system' },
    spec: mixin.prometheusAlerts,
  }),
}
