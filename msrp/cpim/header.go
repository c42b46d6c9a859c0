package cpim

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Namespace is that of the headers RFC 3862 defines, and of every name without
// a prefix unless an NS header says otherwise.
const Namespace = "urn:ietf:params:cpim-headers:"

// A Field is one message header as it stands on the wire.
type Field struct {
	// Name is case-sensitive and has the prefix of its namespace, if any:
	// "From", "imdn.Message-ID".
	Name string
	// Params are the parameters, each with the semicolon in front: ";lang=fr".
	Params string
	// Value has its escapes, see [Field.Text].
	Value string
}

// From is the header that says who sends a message (RFC 3862, section 4.1).
func From(a Address) Field { return Field{Name: "From", Value: a.String()} }

// To is the header for one recipient (RFC 3862, section 4.2). A private message
// in a chat room has exactly one (RFC 7701, section 6).
func To(a Address) Field { return Field{Name: "To", Value: a.String()} }

// Cc is the header for one who gets a copy (RFC 3862, section 4.3).
func Cc(a Address) Field { return Field{Name: "cc", Value: a.String()} }

// DateTime is the header that says when a message was sent, to the second (RFC
// 3862, section 4.4).
func DateTime(t time.Time) Field {
	return Field{Name: "DateTime", Value: t.Format(time.RFC3339)}
}

// Subject is the header for the topic of a message (RFC 3862, section 4.5).
// lang is the tag of its language, such as "fr", or "".
func Subject(text, lang string) Field {
	f := Field{Name: "Subject", Value: Escape(strings.Trim(text, " "))}
	if lang != "" {
		f.Params = ";lang=" + lang
	}
	return f
}

// NS is the header that declares a namespace for the headers behind it (RFC
// 3862, section 3.4): for names with that prefix, or with prefix "" for names
// without one.
func NS(prefix, uri string) Field {
	if prefix != "" {
		prefix += " "
	}
	return Field{Name: "NS", Value: prefix + "<" + uri + ">"}
}

// Require is the header that lists what a recipient must understand (RFC 3862,
// section 3.5): names of headers or of mere features, prefixes included. A
// message has one for all.
func Require(names ...string) Field {
	return Field{Name: "Require", Value: strings.Join(names, ",")}
}

// Text returns the value without its escapes. It can have any character, line
// breaks included.
func (f Field) Text() string { return Unescape(f.Value) }

// Lang returns the tag of the value's language, or "" (RFC 3862, section 3.3).
func (f Field) Lang() string {
	for rest := f.Params; rest != ""; {
		var param string
		param, rest = cutParam(rest)
		if lang, ok := strings.CutPrefix(param, ";lang="); ok {
			return lang
		}
	}
	return ""
}

// cutParam returns the parameter at the start of s, which is a semicolon and
// all up to the next semicolon or blank outside quotes, and the rest of s.
func cutParam(s string) (param, rest string) {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case !quoted && (s[i] == ';' || s[i] == ' '):
			return s[:i], s[i:]
		}
	}
	if quoted {
		return "", s
	}
	return s, ""
}

// cutParams returns all parameters at the start of s.
func cutParams(s string) (params, rest string, ok bool) {
	rest = s
	for strings.HasPrefix(rest, ";") {
		var param string
		if param, rest = cutParam(rest); len(param) < 2 {
			return "", "", false
		}
	}
	return s[:len(s)-len(rest)], rest, true
}

func parseField(line string) (Field, bool) {
	name, rest, ok := strings.Cut(line, ":")
	params, value, ok2 := cutParams(rest)
	f := Field{name, params, strings.Trim(value, " \t")}
	return f, ok && ok2 && f.check() == nil
}

// check refuses what would not be read as this field again, were it written.
func (f Field) check() error {
	prefix, local, ok := strings.Cut(f.Name, ".")
	_, behind, ok2 := cutParams(f.Params)
	switch {
	case !isName(prefix), ok && !isName(local), isMIMEField(f.Name):
		return errors.New("cpim: bad header name " + strconv.Quote(f.Name))
	case !ok2, behind != "", !isHeaderText(f.Params):
		return errors.New("cpim: bad parameter in header " + f.Name)
	case !isHeaderText(f.Value):
		return errors.New("cpim: control character or bad UTF-8 in header " + f.Name)
	case hasBlanksAround(f.Value):
		return errors.New("cpim: blank around header " + f.Name)
	}
	return nil
}

// A Header is a list of message headers, in the order of the wire.
type Header []Field

// ErrNoHeader is the error of a header that is not there.
var ErrNoHeader = errors.New("cpim: no such header")

// Fields returns all fields of that name in that namespace, whatever their
// prefix.
func (h Header) Fields(namespace, name string) []Field {
	var fields []Field
	var in scope
	for _, f := range h {
		if space, local, ok := in.resolve(f.Name); ok && space == namespace && local == name {
			fields = append(fields, f)
		}
		in.declare(f)
	}
	return fields
}

// Get returns the first of them.
func (h Header) Get(namespace, name string) (f Field, ok bool) {
	if fields := h.Fields(namespace, name); len(fields) > 0 {
		return fields[0], true
	}
	return Field{}, false
}

// one returns the field of RFC 3862 that must not be there twice.
func (h Header) one(name string) (Field, error) {
	switch fields := h.Fields(Namespace, name); len(fields) {
	case 0:
		return Field{}, ErrNoHeader
	case 1:
		return fields[0], nil
	}
	// The two ends could take different ones.
	return Field{}, errors.New("cpim: header " + name + " occurs twice")
}

// From returns the sender. The error is [ErrNoHeader] where none is named.
func (h Header) From() (Address, error) {
	f, err := h.one("From")
	if err != nil {
		return Address{}, err
	}
	return ParseAddress(f.Value)
}

// To returns the recipients. The error is [ErrNoHeader] where none is named.
func (h Header) To() ([]Address, error) { return h.addresses("To") }

// Cc returns those who get a copy: most often nobody.
func (h Header) Cc() ([]Address, error) {
	list, err := h.addresses("cc")
	if err == ErrNoHeader {
		err = nil
	}
	return list, err
}

func (h Header) addresses(name string) ([]Address, error) {
	fields := h.Fields(Namespace, name)
	if len(fields) == 0 {
		return nil, ErrNoHeader
	}
	list := make([]Address, len(fields))
	for i, f := range fields {
		var err error
		if list[i], err = ParseAddress(f.Value); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// DateTime returns when the message was sent. The error is [ErrNoHeader] where
// that is not said.
func (h Header) DateTime() (time.Time, error) {
	f, err := h.one("DateTime")
	if err != nil {
		return time.Time{}, err
	}
	t, ok := parseTime(f.Value)
	if !ok {
		return time.Time{}, errors.New("cpim: DateTime " + strconv.Quote(f.Value) + " is not of RFC 3339")
	}
	return t, nil
}

// Subject returns the text of the first subject, or "". Who uses another
// protocol may send more in other languages: Fields(Namespace, "Subject") has
// them all.
func (h Header) Subject() string {
	f, _ := h.Get(Namespace, "Subject")
	return f.Text()
}

// Unknown returns what the sender requires and the receiver does not understand,
// as written in Require headers: then the message must not be treated as if it
// were understood, and an MSRP endpoint answers 415 (RFC 3862, section 3.5).
// Every endpoint understands From, To, DateTime, NS and Require; understood
// tells which further names it does, and may be nil.
func (h Header) Unknown(understood func(namespace, name string) bool) []string {
	var unknown []string
	var in scope
	for _, f := range h {
		if space, local, ok := in.resolve(f.Name); ok && space == Namespace && local == "Require" {
			for _, name := range strings.Split(f.Value, ",") {
				if name = strings.Trim(name, " \t"); name == "" {
					continue
				}
				space, local, ok := in.resolve(name)
				if !ok || !isBasic(space, local) && (understood == nil || !understood(space, local)) {
					unknown = append(unknown, name)
				}
			}
		}
		in.declare(f)
	}
	return unknown
}

func isBasic(namespace, name string) bool {
	switch name {
	case "From", "To", "DateTime", "NS", "Require":
		return namespace == Namespace
	}
	return false
}

// Declare returns the prefix of a namespace for further headers. Where it has
// none yet the NS header is appended, for the given prefix, or for one with a
// number behind it if that stands for something else.
func (h *Header) Declare(prefix, namespace string) string {
	var in scope
	for _, f := range *h {
		in.declare(f)
	}
	for _, s := range in.spaces {
		if uri, ok := in.uri(s.prefix); ok && uri == namespace { // and not declared anew
			return s.prefix
		}
	}
	base := prefix
	for n := 2; ; n++ {
		if _, taken := in.uri(prefix); !taken {
			break
		}
		prefix = base + strconv.Itoa(n)
	}
	*h = append(*h, NS(prefix, namespace))
	return prefix
}

// check refuses what cannot be sent.
func (h Header) check() error {
	for _, f := range h {
		if err := f.check(); err != nil {
			return err
		}
	}
	if _, err := h.From(); err != nil {
		return refused("From", err)
	}
	if _, err := h.To(); err != nil {
		return refused("To", err)
	}
	if _, err := h.Cc(); err != nil {
		return err
	}
	if _, err := h.DateTime(); err != nil && err != ErrNoHeader {
		return err
	}
	// RFC 4975, section 13; but the example of RFC 3862, section 5.1 has two
	// subjects, so that they are read.
	for _, name := range [...]string{"Subject", "Require"} {
		if _, err := h.one(name); err != nil && err != ErrNoHeader {
			return err
		}
	}
	return nil
}

func refused(name string, err error) error {
	if err == ErrNoHeader {
		return errors.New("cpim: a message without " + name)
	}
	return err
}

// A scope is what NS headers have declared up to a place in a header.
type scope struct {
	base   string // of names without a prefix, "" for Namespace
	spaces []space
}

type space struct{ prefix, uri string }

// resolve returns the namespace and the name in it of a name as written. It
// fails for a prefix that is not declared.
func (in *scope) resolve(written string) (namespace, name string, ok bool) {
	prefix, local, ok := strings.Cut(written, ".")
	if !ok {
		if in.base == "" {
			return Namespace, written, true
		}
		return in.base, written, true
	}
	namespace, ok = in.uri(prefix)
	return namespace, local, ok
}

// uri returns what a prefix stands for.
func (in *scope) uri(prefix string) (string, bool) {
	for i := len(in.spaces) - 1; i >= 0; i-- { // the last one counts
		if in.spaces[i].prefix == prefix {
			return in.spaces[i].uri, true
		}
	}
	return "", false
}

// declare takes in what f declares, if it does. NS without a prefix always
// does: once the default was another namespace, nothing could be declared any
// more.
func (in *scope) declare(f Field) {
	if space, local, ok := in.resolve(f.Name); f.Name != "NS" && (!ok || space != Namespace || local != "NS") {
		return
	}
	prefix, uri, ok := strings.Cut(f.Value, "<")
	uri, ok2 := strings.CutSuffix(uri, ">")
	prefix = strings.Trim(prefix, " ")
	switch {
	case !ok || !ok2 || !isURI(uri):
	case prefix == "":
		in.base = uri
	case isName(prefix):
		in.spaces = append(in.spaces, space{prefix, uri})
	}
}

// isName reports whether s is a Name of RFC 3862, section 3.6.
func isName(s string) bool { return s != "" && all(s, isNameChar) }

func isNameChar(b byte) bool {
	return '!' <= b && b <= '~' && strings.IndexByte(`.()<>@,;:\"/[]?={}`, b) < 0
}
