package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"goodcontrol/chainwatch/ethrpc"
	"goodcontrol/node/alert"
)

// evidenceFolder is where in the data folder stands what endpoints said that are not
// trusted any more. Nothing reads it but people.
const evidenceFolder = "evidence"

// keepEvidence writes what a cordoned endpoint said into a file of its own. That it
// cannot be written is logged: the endpoint is cordoned all the same.
func (n *Node) keepEvidence(e ethrpc.Evidence) {
	name := strings.NewReplacer(":", "-", "/", "-", "#", "-").Replace(e.Chain + "_" + e.Endpoint)
	path := filepath.Join(n.config.Data, evidenceFolder, fmt.Sprintf("%s_%d.json", name, n.now().UnixNano()))
	b, err := json.MarshalIndent(e, "", " ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	n.log.Warn("endpoint is cordoned", "chain", e.Chain, "endpoint", e.Endpoint, "why", e.Why, "evidence", path, "error", err)
}

// cordons tells of each endpoint that is not trusted any more. It holds until the node
// starts again without it, or with it mended.
func (c *chain) cordons() []alert.Condition {
	var all []alert.Condition
	for name, why := range c.client.Cordoned() {
		all = append(all, alert.Condition{
			Key: "chain.endpoint_cordoned/" + c.config.ID + "/" + name, Kind: alert.EndpointDisagreement,
			Data: map[string]string{"chain": c.config.ID, "endpoint": name, "cordoned": why.Error()}, Matters: name,
		})
	}
	return all
}
