package call_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/cpim"
	"github.com/webmsrp/webmsrp/msrp/multipart"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// connect sets up a session by offer and answer, and returns both descriptions
// too.
func connect(t *testing.T, ctx context.Context, from, to *call.Call) (offer, answer string) {
	t.Helper()
	offer, err := from.Offer(ctx)
	require.NoError(t, err)
	answer, err = to.Answer(ctx, offer)
	require.NoError(t, err)
	require.NoError(t, from.Accept(ctx, answer))
	return offer, answer
}

// Every endpoint takes the containers of RFC 4975 and says so, by name or with
// *, and gets their parts whatever chunks they come in.
func TestContainers(t *testing.T) {
	t.Attr("requirement", "D-17")
	for name, types := range map[string][]string{"by name": append(sdp.ContainerTypes[:4:4], "text/plain"), "by default": nil} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), guard)
			defer cancel()
			alice, bob := newUser(t, sdp.Active, false), newUser(t, sdp.Passive, false)
			alice.adjust = func(p *call.Place) { p.ChunkSize = 100 }
			from := alice.call()
			to := bob.call(func(o *call.Options) { o.Session.AcceptTypes, o.AcceptWrappedTypes = types, []string{"image/png"} })
			_, answer := connect(t, ctx, from, to)
			for _, container := range sdp.ContainerTypes {
				bare, _ := (&sdp.Stream{AcceptTypes: strings.Fields(attribute(answer, "accept-types"))}).Takes(container)
				assert.True(t, bare, container)
			}
			if types != nil {
				assert.Contains(t, attribute(answer, "accept-types"), "message/cpim multipart/mixed multipart/alternative multipart/signed")
			}
			assert.Equal(t, "image/png", attribute(answer, "accept-wrapped-types"))

			picture := strings.Repeat("\x00\r\n--\xff", 1000)
			for _, container := range sdp.ContainerTypes[1:] {
				body := "--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n--b\r\nContent-Type: image/png\r\n\r\n" + picture + "\r\n--b--"
				out, err := from.Session().Send(ctx, &msrp.Message{ContentType: container + "; boundary=b", Body: strings.NewReader(body)})
				require.NoError(t, err)
				in, err := to.Session().Receive(ctx)
				require.NoError(t, err)
				r, err := multipart.NewReader(in, in.ContentType)
				require.NoError(t, err)
				for _, want := range []string{"Hi", picture} {
					part, err := r.Next()
					require.NoError(t, err)
					content, err := io.ReadAll(part)
					require.NoError(t, err)
					assert.True(t, want == string(content), container)
				}
				_, err = r.Next()
				assert.Equal(t, io.EOF, err)
				require.NoError(t, out.Sent(ctx))
			}
		})
	}
}

// A message is wrapped before it is cut into chunks: the wrapper is in the first
// one (RFC 4975, sections 11.4 and 13).
func TestWrappedBeforeChunked(t *testing.T) {
	t.Attr("requirement", "X-02")
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	defer cancel()
	var mu sync.Mutex
	var chunks []msrp.TraceEvent
	alice, bob := newUser(t, sdp.Active, false), newUser(t, sdp.Passive, false)
	alice.endpoint = msrp.NewEndpoint(&msrp.Options{Trace: func(e msrp.TraceEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Outgoing && e.Unit.Method == msrp.MethodSend && e.Body != nil {
			chunks = append(chunks, e)
		}
	}})
	alice.adjust = func(p *call.Place) { p.ChunkSize = 2048 }
	from, to := alice.call(), bob.call()
	connect(t, ctx, from, to)

	text := strings.Repeat("ABCD1234567890\r\n", 500)
	letter := func() *cpim.Message {
		return &cpim.Message{
			Header:      cpim.Header{cpim.From(cpim.Address{URI: "sip:alice@example.com"}), cpim.To(cpim.Address{URI: "sip:bob@example.com"})},
			ContentType: "text/plain", Body: strings.NewReader(text),
		}
	}
	body, size, err := letter().Encode()
	require.NoError(t, err)
	out, err := from.Session().Send(ctx, &msrp.Message{ContentType: cpim.ContentType, Body: body, Size: size})
	require.NoError(t, err)
	in, err := to.Session().Receive(ctx)
	require.NoError(t, err)
	got, err := cpim.Read(in)
	require.NoError(t, err)
	content, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	assert.Equal(t, text, string(content))
	require.NoError(t, out.Sent(ctx))

	mu.Lock()
	defer mu.Unlock()
	require.Greater(t, len(chunks), 3)
	head, err := letter().Head()
	require.NoError(t, err)
	wire, at := "", 1
	for _, c := range chunks {
		assert.Equal(t, cpim.ContentType, c.Unit.ContentType())
		assert.Equal(t, int64(at), c.Unit.ByteRange().Start, "of the whole, wrapper included")
		assert.Equal(t, size, c.Unit.ByteRange().Total, "of the whole, wrapper included")
		wire += string(c.Body)
		at += len(c.Body)
	}
	assert.Equal(t, string(head)+text, wire, fmt.Sprintf("in %d chunks", len(chunks)))
}
