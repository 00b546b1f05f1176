package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Memory is a Journal that keeps its blocks in memory, for tests and for trying
// things out. It can be told to fail as a disk does.
type Memory struct {
	mu     sync.Mutex
	blocks [][]byte
	head   Head
	fault  Fault
	broken bool // an append had an unknown outcome; only reading goes on
}

var _ Journal = (*Memory)(nil)

// Fault is what goes wrong with an append.
type Fault uint8

// The faults of an append. After Lost and Kept the caller cannot tell which of the
// two it was, and the journal takes nothing until Reopen.
const (
	NoFault Fault = iota
	Lost          // fails, and the block was not kept
	Kept          // fails, and the block was kept
	Full          // fails with ErrNotAppended; a later try may succeed
)

// NewMemory makes an empty journal.
func NewMemory() *Memory { return &Memory{} }

// FailNext makes the next append fail.
func (m *Memory) FailNext(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Reopen is a journal with the same blocks, as found after a restart.
func (m *Memory) Reopen() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{blocks: slices.Clone(m.blocks), head: m.head}
}

// Head is where the chain ends.
func (m *Memory) Head(context.Context) (Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, nil
}

// Append adds a block behind the head.
func (m *Memory) Append(_ context.Context, b Block) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken {
		return errors.New("an earlier append had an unknown outcome")
	}
	if err := m.head.Check(b); err != nil {
		return err
	}
	data, err := b.AppendBinary(make([]byte, 0, b.EncodedSize()))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAppended, err)
	}
	fault := m.fault
	m.fault = NoFault
	if fault == Full {
		return fmt.Errorf("%w: no space, as told", ErrNotAppended)
	}
	if fault != Lost {
		m.blocks = append(m.blocks, data)
		m.head = b.Head()
	}
	if fault != NoFault {
		m.broken = true
		return errors.New("append failed, as told")
	}
	return nil
}

// Read calls fn for each block from number from.
func (m *Memory) Read(ctx context.Context, from uint64, fn func(Block) error) error {
	m.mu.Lock()
	blocks := m.blocks
	m.mu.Unlock()
	for i := max(from, 1); i <= uint64(len(blocks)); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := DecodeBlock(blocks[i-1])
		if err != nil {
			return fmt.Errorf("reading block %d: %w", i, err)
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}
