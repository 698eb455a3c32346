/*
Copyright The Kubernetes NMState Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/rpc"
	"sync/atomic"
)

const (
	// ovsSocket is where libnmstate asks Open vSwitch's database, if it is there.
	ovsSocket = "/run/openvswitch/db.sock"
	// ovsDatabase is the database's name.
	ovsDatabase = "Open_vSwitch"
)

// asked are the columns that libnmstate asks for, by table (its ovsdb/db.rs and ovsdb/global_conf.rs). Others change all the
// time: statistics.
var asked = map[string][]string{
	"Open_vSwitch": {"external_ids", "other_config"},
	"Bridge": {
		"external_ids", "name", "other_config", "ports", "stp_enable", "rstp_enable", "mcast_snooping_enable", "fail_mode", "datapath_type",
	},
	"Port": {
		"external_ids", "name", "other_config", "interfaces", "vlan_mode", "tag", "trunks", "bond_mode", "bond_updelay", "bond_downdelay", "lacp",
	},
	"Interface": {"external_ids", "name", "other_config", "type", "mtu", "options"},
}

// database proves that Open vSwitch's database is as it was: over one lasting connection it has reported no change, RFC 7047,
// "Monitor". It reports what was committed before it answers a later transaction.
type database struct {
	socket string
	// tell, if there is one, is called whenever something was reported, or the connection has ended. It must return at once.
	tell func()

	client *rpc.Client
	// connections are those that were made, and updates what was reported over all of them.
	connections int
	updates     atomic.Uint64
}

func (d *database) observe(ctx context.Context) ([]byte, error) {
	err := d.connect(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte("none"), nil
	}
	if err == nil {
		// Of no operations: the answer counts, which comes after all reports of what was before.
		err = d.call(ctx, "transact", ovsDatabase)
	}
	if err != nil {
		d.close()
		return nil, fmt.Errorf("asking Open vSwitch's database: %w", err)
	}
	return fmt.Appendf(nil, "%d %d", d.connections, d.updates.Load()), nil
}

// connect connects to the database, unless that was done, and has it report changes.
func (d *database) connect(ctx context.Context) error {
	if d.client != nil {
		return nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", d.socket)
	if err != nil {
		return err
	}
	d.client = rpc.NewClientWithCodec(newCodec(conn, d.report))
	d.connections++
	tables := map[string]any{}
	for table, columns := range asked {
		tables[table] = map[string]any{"columns": columns, "select": map[string]bool{"initial": false}}
	}
	return d.call(ctx, "monitor", ovsDatabase, nil, tables)
}

// report counts a report of changes, or the end of the connection.
func (d *database) report() {
	d.updates.Add(1)
	if d.tell != nil {
		d.tell()
	}
}

// call calls a method and waits for its answer.
func (d *database) call(ctx context.Context, method string, params ...any) error {
	var answer json.RawMessage
	call := d.client.Go(method, params, &answer, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *database) close() {
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
}
