package keys

// PartyStatus is what the coordinator knows of one party.
type PartyStatus struct {
	Party PartyID     `json:"party"`
	Up    bool        `json:"up"`
	Error string      `json:"error,omitempty"` // why it is not up
	Keys  []KeyStatus `json:"keys,omitempty"`
	Pool  PoolStatus  `json:"pool"`
	// AuditHead is the hash of the last line of the party's log.
	AuditHead string `json:"audit_head,omitempty"`
	// Sessions counts those running now.
	Sessions int `json:"sessions"`
}

// KeyStatus is what a party says of one key it has a share of.
type KeyStatus struct {
	Key       KeyID     `json:"key"`
	Epoch     Epoch     `json:"epoch"`
	Threshold int       `json:"threshold"`
	Parties   int       `json:"parties"`
	PublicKey PublicKey `json:"public_key,omitzero"`
	// Active is false between key generation and the test signatures.
	Active bool   `json:"active"`
	Frozen string `json:"frozen,omitempty"` // why, if it is
}

// PoolStatus says how many key generations a party is ready for.
type PoolStatus struct {
	Ready  int `json:"ready"`
	Target int `json:"target"`
	// Pooling is true while another set is being searched for.
	Pooling bool `json:"pooling"`
}
