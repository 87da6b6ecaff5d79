package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is a terminal attribute of a cell (ECMA-48, SGR); the zero value is none.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	green  style = "\x1b[32m"
	red    style = "\x1b[1;31m"
	yellow style = "\x1b[33m"
	header style = "\x1b[4m"
	reset        = "\x1b[0m"
)

// cell is one field of a table.
type cell struct {
	text  string
	style style
}

// table prints rows in aligned columns with a header line, in the manner of systemctl.
type table struct {
	columns []string
	right   []bool // columns aligned to the right; may be shorter than columns
	rows    [][]cell
}

// add appends a row.
func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = printable(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

// printable escapes what would act on the terminal: a payload chooses its own command line.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// write prints the table; without legend it has no header line, without colour no escape sequences.
func (t *table) write(w io.Writer, legend, colour bool) error {
	rows := t.rows
	if legend {
		head := make([]cell, len(t.columns))
		for i, c := range t.columns {
			head[i] = cell{c, header}
		}
		rows = append([][]cell{head}, rows...)
	}
	widths := make([]int, len(t.columns))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		t.writeRow(&b, row, widths, colour)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) writeRow(b *strings.Builder, row []cell, widths []int, colour bool) {
	for i, c := range row {
		text := c.text
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		last := i == len(row)-1
		switch {
		case i < len(t.right) && t.right[i]:
			text = pad + text
		case !last || c.style == header:
			text += pad
		}
		if !colour && last {
			text = strings.TrimRight(text, " ")
		}
		if colour && c.style != plain {
			text = string(c.style) + text + reset
		}
		b.WriteString(text)
		if !last {
			b.WriteByte(' ')
		}
	}
	b.WriteByte('\n')
}

// counted is the legend below a list: "2 containers listed.".
func counted(n int, noun string) string {
	switch n {
	case 0:
		return "No " + noun + "s."
	case 1:
		return "1 " + noun + " listed."
	}
	return fmt.Sprintf("%d %ss listed.", n, noun)
}
