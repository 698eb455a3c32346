{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The agents of one architecture, or of all if arch is empty: a dict of root, arch, image. */}}
{{- define "nmstate.agent" -}}
{{- $agent := .root.Values.agent -}}
{{- $name := ternary (printf "nmstate-node-agent-%s" .arch) "nmstate-node-agent" (ne .arch "") -}}
{{- $labels := dict "app.kubernetes.io/name" "nmstate-node-agent" -}}
{{- $nodes := $agent.nodeSelector -}}
{{- if .arch -}}
{{- $_ := set $labels "nmstate.io/arch" .arch -}}
{{- $nodes = merge (dict "kubernetes.io/arch" .arch) (default (dict) $nodes) -}}
{{- end -}}
apiVersion: apps/v1
kind: DaemonSet
{{ include "nmstate.metadata" (dict "root" .root "name" $name "namespace" .root.Release.Namespace
  "labels" (merge (dict) $labels (default (dict) $agent.labels)) "annotations" $agent.annotations) }}
spec:
  {{- if not (kindIs "invalid" $agent.revisionHistoryLimit) }}
  revisionHistoryLimit: {{ $agent.revisionHistoryLimit }}
  {{- end }}
  selector:
    matchLabels:
      {{- toYaml $labels | nindent 6 }}
  {{- with $agent.updateStrategy }}
  updateStrategy:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  template:
    metadata:
      labels:
        {{- toYaml (merge (dict) $labels (default (dict) $agent.podLabels)) | nindent 8 }}
      {{- with $agent.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ $agent.serviceAccount.name }}
      automountServiceAccountToken: false
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $nodes }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $agent.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $agent.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      terminationGracePeriodSeconds: {{ $agent.terminationGracePeriodSeconds }}
      # The network that is shown and set is the node's.
      hostNetwork: true
      # NetworkManager tells its callers by their process id.
      hostPID: true
      # The server's address is in the environment: names need not be resolved.
      dnsPolicy: Default
      enableServiceLinks: true
      {{- with $agent.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
      - name: node-agent
        image: {{ include "nmstate.image" . | quote }}
        {{- with .image.pullPolicy }}
        imagePullPolicy: {{ . }}
        {{- end }}
        args:
        - --node-name=$(NODE_NAME)
        # The brackets are for IPv6, and do no harm to IPv4.
        - --server=[$(NMSTATE_APISERVER_SERVICE_HOST)]:$(NMSTATE_APISERVER_SERVICE_PORT_AGENTS)
        - --server-name={{ include "nmstate.serverName" .root }}
        - --ca-file=/etc/nmstate/ca/ca.crt
        - --token-file=/var/run/secrets/nmstate.io/token
        - --state-dir=/var/lib/nmstate-agent
        {{- if ne $agent.backend "auto" }}
        - --backend={{ $agent.backend }}
        {{- end }}
        {{- with $agent.logLevel }}
        - --v={{ . }}
        {{- end }}
        {{- with $agent.args }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        env:
        - name: NODE_NAME
          valueFrom:
            fieldRef:
              fieldPath: spec.nodeName
        - name: DBUS_SYSTEM_BUS_ADDRESS
          value: unix:path=/run/dbus/system_bus_socket
        {{- with $agent.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with $agent.resources }}
        resources:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        securityContext:
          readOnlyRootFilesystem: true
          allowPrivilegeEscalation: false
          # Owner of the agent's folder and, on D-Bus, whom NetworkManager obeys.
          runAsUser: 0
          # The profile that runtimes give containers keeps them off D-Bus.
          appArmorProfile:
            type: Unconfined
          # And so does SELinux's, and off the agent's folder. Nodes without SELinux pass it over.
          seLinuxOptions:
            type: spc_t
          capabilities:
            drop: [ALL]
            add:
            # Links, addresses and routes.
            - NET_ADMIN
            # Probes send ICMP echoes; with --lldp the agent listens on the ports.
            - NET_RAW
            # Open vSwitch's database, where it belongs to a user of its own.
            - DAC_OVERRIDE
        volumeMounts:
        - name: ca
          mountPath: /etc/nmstate/ca
          readOnly: true
        - name: token
          mountPath: /var/run/secrets/nmstate.io
          readOnly: true
        - name: state
          mountPath: /var/lib/nmstate-agent
        - name: dbus
          mountPath: /run/dbus
          readOnly: true
          mountPropagation: HostToContainer
        - name: openvswitch
          mountPath: /run/openvswitch
          readOnly: true
          mountPropagation: HostToContainer
        - name: tmp
          mountPath: /tmp
        {{- with $agent.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
      # Without the CA the agent could not tell the server from another: the pod waits for it.
      - name: ca
        {{- if eq .root.Values.tls.type "cert-manager" }}
        secret:
          secretName: {{ include "nmstate.tlsSecret" .root }}
        {{- else }}
        configMap:
          name: nmstate-apiserver-ca
        {{- end }}
          items:
          - key: ca.crt
            path: ca.crt
      - name: token
        projected:
          sources:
          - serviceAccountToken:
              audience: agents.nmstate.io
              expirationSeconds: 3600
              path: token
      # The durable part of the node's object.
      - name: state
        hostPath:
          path: /var/lib/nmstate-agent
          type: DirectoryOrCreate
      # The system bus, on which NetworkManager is reached.
      - name: dbus
        hostPath:
          path: /run/dbus
          type: DirectoryOrCreate
      # The database of Open vSwitch, where there is one.
      - name: openvswitch
        hostPath:
          path: /run/openvswitch
          type: DirectoryOrCreate
      - name: tmp
        emptyDir: {}
      {{- with $agent.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
