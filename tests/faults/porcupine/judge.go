package main

import (
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Events of a room that are judged at once: the cost of a search grows with its square.
const window = 2000

// What an operation did, on a register whose value is the head of the log.
type kind int

const (
	appended kind = iota // the head was seq-1, and became seq
	headRead             // the head was seq
)

type input struct {
	kind kind
	seq  int
}

var register = porcupine.Model{
	Init: func() interface{} { return 0 },
	Step: func(state, in, _ interface{}) (bool, interface{}) {
		head, op := state.(int), in.(input)
		if op.kind == appended {
			return head == op.seq-1, op.seq
		}
		return head == op.seq, head
	},
	DescribeOperation: func(in, _ interface{}) string { return fmt.Sprint(in) },
}

// judge says whether the answers of a room can be explained by a log that is appended to at one
// moment between question and answer of each command.
//
// Only one order of appends comes into question, that of the answered seqs. So the search is cut
// into windows of seqs without losing anything: the first state of a window is the seq before it,
// and all that comes after it is one append that must be over when the first of those was.
func judge(name string, room *room, limit time.Duration) roomVerdict {
	operations := room.operations()
	verdict := roomVerdict{Room: name, Operations: len(operations), Result: "Ok"}
	if room.ended == 0 {
		verdict.Result, verdict.Where = "Illegal", "the log was not read at the end"
		return verdict
	}
	sort.SliceStable(operations, func(i, j int) bool {
		return operations[i].Input.(input).seq < operations[j].Input.(input).seq
	})
	earliest := earliestEnds(operations)
	for from := 0; from < len(operations); {
		to := windowEnd(operations, from)
		part := append([]porcupine.Operation{}, operations[from:to]...)
		first, last := part[0].Input.(input).seq, part[len(part)-1].Input.(input).seq
		before := 0
		if from > 0 {
			before = operations[from-1].Input.(input).seq
		}
		model := register
		model.Init = func() interface{} { return before }
		if to < len(operations) {
			rest := input{appended, last + 1}
			part = append(part, porcupine.Operation{Input: rest, Call: math.MinInt64, Return: earliest[to]})
		}
		result, _ := porcupine.CheckOperationsVerbose(model, part, limit)
		if result != porcupine.Ok {
			verdict.Result = string(result)
			verdict.Where = fmt.Sprintf("seq %d to %d", first, last)
			return verdict
		}
		from = to
	}
	return verdict
}

// windowEnd: where the next seq begins, once a window is full.
func windowEnd(operations []porcupine.Operation, from int) int {
	to := from + window
	for to < len(operations) &&
		operations[to].Input.(input).seq == operations[to-1].Input.(input).seq {
		to++
	}
	if to > len(operations) {
		return len(operations)
	}
	return to
}

func earlier(one, other int64) int64 {
	if one < other {
		return one
	}
	return other
}

// earliestEnds: of each place, the first end among the operations from there on.
func earliestEnds(operations []porcupine.Operation) []int64 {
	ends := make([]int64, len(operations)+1)
	ends[len(operations)] = never
	for place := len(operations) - 1; place >= 0; place-- {
		ends[place] = earlier(ends[place+1], operations[place].Return)
	}
	return ends
}

// operations: commands that took effect, reads, and the rows that the server made by itself. What
// was never answered and is not in the log took no effect; what is not in the log though it was
// answered leaves a hole that no order explains.
func (r *room) operations() []porcupine.Operation {
	operations := []porcupine.Operation{}
	add := func(kind kind, seq int, from, to int64) {
		operations = append(operations,
			porcupine.Operation{ClientId: len(operations), Input: input{kind, seq}, Call: from, Return: to})
	}
	answered := map[int]bool{}
	for _, command := range r.commands {
		for _, seq := range command.seqs {
			answered[seq] = true
			if _, stored := r.log[seq]; stored || seq > r.head {
				add(appended, seq, command.asked, command.answered)
			}
		}
	}
	for seq, cid := range r.log {
		command := r.commands[cid]
		switch {
		case command == nil && !answered[seq]: // a member joined, a content is gone
			add(appended, seq, math.MinInt64, never)
		case command != nil && len(command.seqs) == 0:
			command.seqs = []int{seq} // of a double only one: the other one leaves a hole
			add(appended, seq, command.asked, never)
		}
	}
	for _, read := range r.reads {
		add(headRead, read.head, read.began, read.ended)
	}
	add(headRead, r.head, r.ended, r.ended)
	return operations
}
