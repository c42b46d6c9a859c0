package msrp

import "strings"

// MatchType reports whether a media type matches an entry of an accept-types
// list: *, type/* or type/subtype, without regard to case and to the
// parameters of either (RFC 4975, section 8.6).
func MatchType(entry, contentType string) bool {
	entry, contentType = mediaTypeOf(entry), mediaTypeOf(contentType)
	if entry == "*" || strings.EqualFold(entry, contentType) {
		return true
	}
	top, any := strings.CutSuffix(entry, "/*")
	return any && len(contentType) > len(top) && contentType[len(top)] == '/' && strings.EqualFold(contentType[:len(top)], top)
}

// accepts reports whether a list of accepted types has an entry for a type. An
// empty list takes all.
func accepts(list []string, contentType string) bool {
	for _, entry := range list {
		if MatchType(entry, contentType) {
			return true
		}
	}
	return len(list) == 0
}

// mediaTypeOf returns a Content-Type without its parameters.
func mediaTypeOf(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return trimBlanks(mediaType)
}
