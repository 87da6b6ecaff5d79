package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
)

// newLogger writes lines to stderr that begin with their priority, as journald reads them; see sd-daemon(3).
// journald adds the time.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(&handler{mu: new(sync.Mutex), out: w, level: level})
}

// handler is a slog.Handler. Groups are flattened to dotted names.
type handler struct {
	mu     *sync.Mutex // guards out; shared by all handlers made of one
	out    io.Writer
	level  slog.Level
	prefix string // of keys
	attrs  string // written already
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	var b strings.Builder
	for _, a := range attrs {
		n.append(&b, n.prefix, a)
	}
	n.attrs += b.String()
	return &n
}

func (h *handler) WithGroup(name string) slog.Handler {
	n := *h
	n.prefix += name + "."
	return &n
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("<" + strconv.Itoa(priority(r.Level)) + ">" + plain(r.Message) + h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		h.append(&b, h.prefix, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, b.String())
	return err
}

func (h *handler) append(b *strings.Builder, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, m := range v.Group() {
			h.append(b, prefix+a.Key+".", m)
		}
		return
	}
	text := v.String()
	if text == "" || strings.ContainsAny(text, " \"=") || text != plain(text) {
		text = strconv.Quote(text)
	}
	b.WriteString(" " + prefix + a.Key + "=" + text)
}

// plain keeps a text on one line, and free of what a terminal would obey.
func plain(s string) string {
	quoted := strconv.Quote(s)
	if len(quoted) == len(s)+2 {
		return s
	}
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// priority is the syslog priority of a level.
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
