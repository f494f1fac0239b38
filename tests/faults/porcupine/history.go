package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
)

// An interval without an end: nobody was answered.
const never = math.MaxInt64

// command is one client id with all its attempts: first asked, first answered, and the different
// seqs of its answers. More than one is a fault; both are then taken at their word.
type command struct {
	asked, answered int64
	seqs            []int
}

type read struct {
	began, ended int64
	head         int
}

type room struct {
	commands map[string]*command
	reads    []read
	log      map[int]string // seq to client id, from the log read at the end
	head     int
	ended    int64 // when that reading was over
}

type attempt struct{ room, cid string }

type reader struct {
	rooms map[string]*room
	open  map[string]attempt
}

func readHistories(paths []string) (map[string]*room, error) {
	r := &reader{rooms: map[string]*room{}, open: map[string]attempt{}}
	for _, path := range paths {
		if err := r.readFile(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return r.rooms, nil
}

func (r *reader) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil // the end; a torn last line is left out
		}
		if err := r.take(line); err != nil {
			return fmt.Errorf("%w in %.80s", err, line)
		}
	}
}

func (r *reader) take(line []byte) error {
	// Live events are most of the lines, and say nothing about answers.
	if bytes.HasPrefix(line, []byte(`["live"`)) {
		return nil
	}
	var fields []json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return err
	}
	switch text(fields[0]) {
	case "invoke":
		r.invoke(fields)
	case "ok":
		r.ok(fields)
	case "refused", "unknown":
		delete(r.open, text(fields[2])+"/"+string(fields[3]))
	case "page":
		room := r.room(text(fields[4]))
		room.reads = append(room.reads, read{number(fields[1]), number(fields[2]), int(number(fields[6]))})
	case "synced":
		room := r.room(text(fields[5]))
		room.reads = append(room.reads, read{number(fields[1]), number(fields[2]), int(number(fields[7]))})
	case "final":
		return r.final(fields)
	}
	return nil
}

// ["invoke", t, process, conn, op, room, sender, cid, name, target]
func (r *reader) invoke(fields []json.RawMessage) {
	t, cid := number(fields[1]), text(fields[7])
	name := text(fields[5])
	commands := r.room(name).commands
	if commands[cid] == nil {
		commands[cid] = &command{asked: t, answered: never}
	}
	r.open[text(fields[2])+"/"+string(fields[4])] = attempt{name, cid}
}

// ["ok", t, process, op, seq, id, at]
func (r *reader) ok(fields []json.RawMessage) {
	key := text(fields[2]) + "/" + string(fields[3])
	attempt := r.open[key]
	delete(r.open, key)
	t, seq := number(fields[1]), int(number(fields[4]))
	found := r.room(attempt.room).commands[attempt.cid]
	found.answered = earlier(found.answered, t)
	for _, known := range found.seqs {
		if known == seq {
			return
		}
	}
	found.seqs = append(found.seqs, seq)
}

// ["final", t, source, room, head, rows]; a row: [seq, id, at, fixed, body, token, type, gone]
func (r *reader) final(fields []json.RawMessage) error {
	if text(fields[2]) != "api" {
		return nil
	}
	room := r.room(text(fields[3]))
	room.head = int(number(fields[4]))
	room.ended = number(fields[1])
	var rows [][]json.RawMessage
	if err := json.Unmarshal(fields[5], &rows); err != nil {
		return err
	}
	for _, row := range rows {
		room.log[int(number(row[0]))] = text(row[5])
	}
	return nil
}

func (r *reader) room(name string) *room {
	found := r.rooms[name]
	if found == nil {
		found = &room{commands: map[string]*command{}, log: map[int]string{}}
		r.rooms[name] = found
	}
	return found
}

func text(raw json.RawMessage) string {
	var value string
	json.Unmarshal(raw, &value)
	return value
}

func number(raw json.RawMessage) int64 {
	var value int64
	json.Unmarshal(raw, &value)
	return value
}
