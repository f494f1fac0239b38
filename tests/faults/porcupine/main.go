// Judges histories (JSON lines, see tests/faults/history/record.py) for the linearizability of
// `append` in each room: porcupine HISTORY.jsonl... Shares no code with the other checker.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"time"
)

type roomVerdict struct {
	Room       string `json:"room"`
	Operations int    `json:"operations"`
	Result     string `json:"result"`
	Where      string `json:"where,omitempty"`
}

func main() {
	limit := flag.Duration("limit", 60*time.Second, "for each window of a room")
	flag.Parse()
	rooms, err := readHistories(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	names := make([]string, 0, len(rooms))
	for name := range rooms {
		names = append(names, name)
	}
	sort.Strings(names)
	verdicts := []roomVerdict{}
	for _, name := range names {
		verdicts = append(verdicts, judge(name, rooms[name], *limit))
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
