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
	// Policy is the highest version that was in force.
	Policy uint64 `json:"policy,omitempty"`
	// Sessions counts those running now.
	Sessions int `json:"sessions"`
}

// KeyStatus is what a party says of one epoch of a key that it has a share of, or
// of a key that was frozen or revoked before or after, with epoch 0.
type KeyStatus struct {
	Key       KeyID     `json:"key"`
	Epoch     Epoch     `json:"epoch"`
	Threshold int       `json:"threshold"`
	Parties   int       `json:"parties"`
	PublicKey PublicKey `json:"public_key,omitzero"`
	// Committee are the parties that have a share of this epoch.
	Committee []PartyID `json:"committee,omitempty"`
	// Members is the hash of the group under which this epoch was made.
	Members string `json:"members,omitempty"`
	// Active is false between the making of a share and the test signatures.
	Active bool   `json:"active"`
	Frozen string `json:"frozen,omitempty"` // why, if it is
	// Revoked says why the party gave the key up.
	Revoked string `json:"revoked,omitempty"`
	// Quarantine is set on a share from a backup until peers have said what it
	// may have signed since and a person has let it go on.
	Quarantine bool `json:"quarantine,omitempty"`
}

// PoolStatus says how many key generations a party is ready for.
type PoolStatus struct {
	Ready  int `json:"ready"`
	Target int `json:"target"`
	// Pooling is true while another set is being searched for.
	Pooling bool `json:"pooling"`
}
