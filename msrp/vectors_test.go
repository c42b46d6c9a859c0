package msrp

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A vector is one case of testdata/vectors.json.
type vector struct {
	ID, Title, Expected string
	Input               string  `json:"input_hex"`
	Reply               *string `json:"reply_hex"`
	Splits              []int
	Messages            []vectorMessage
	Incomplete          bool
}

type vectorMessage struct {
	Kind, TID, Method, Comment, Flag, Error string
	Code                                    int
	Headers                                 [][2]string
	Body                                    *string `json:"body_hex"`
}

type vectorFile struct {
	A, B    string
	Vectors []vector
}

func loadVectors(t testing.TB) vectorFile {
	data, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var file vectorFile
	require.NoError(t, json.Unmarshal(data, &file))
	require.NotEmpty(t, file.Vectors)
	return file
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

func (v vector) input(t testing.TB) []byte { return unhex(t, v.Input) }

// short is the part of a title that fits a test's name.
func (v vector) name() string {
	return v.ID + " " + strings.Map(func(r rune) rune {
		if r < 0x80 && isAlphanum(byte(r)) || r == ' ' {
			return r
		}
		return -1
	}, v.Title)
}
