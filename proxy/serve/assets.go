package serve

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"

	site "github.com/webmsrp/webmsrp"
)

// assets serves the page from memory, compressed beforehand.
type assets struct {
	files      map[string]*asset // by URL path
	connectSrc string
}

type asset struct {
	contentType string
	variants    map[string][]byte // by Content-Encoding, "" for none
	etag        string
}

// encodings are the compressed forms, best first, with the endings that the
// build gives their files.
var encodings = []struct{ name, ending string }{{"br", ".br"}, {"gzip", ".gz"}}

func newAssets(c *Config, log *slog.Logger) *assets {
	a := &assets{files: map[string]*asset{}, connectSrc: "'self'"}
	for _, source := range list(c.ConnectSrc) {
		a.connectSrc += " " + source
	}
	if c.Dev {
		a.connectSrc += " ws: wss:" // to try other relays with
	}
	fs.WalkDir(site.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := site.Files.ReadFile(name)
		if err != nil {
			return err
		}
		encoding := ""
		for _, e := range encodings {
			if strings.HasSuffix(name, e.ending) {
				name, encoding = strings.TrimSuffix(name, e.ending), e.name
			}
		}
		at := "/" + strings.TrimPrefix(name, "web/dist/")
		if name == "index.html" {
			at = "/"
			if c.Dev {
				// Tells the page to ask for demo credentials, not for a password.
				data = bytes.Replace(data, []byte("<html "), []byte("<html data-demo "), 1)
			}
		}
		f := a.files[at]
		if f == nil {
			f = &asset{contentType: typeOf(name), variants: map[string][]byte{}}
			a.files[at] = f
		}
		f.variants[encoding] = data
		if encoding == "" {
			sum := sha256.Sum256(data)
			f.etag = base64.RawURLEncoding.EncodeToString(sum[:12])
		}
		return nil
	})
	delete(a.files, "/placeholder")
	if a.files["/page.js"] == nil {
		log.Warn("this program was built without the page: run make build")
	}
	return a
}

func typeOf(name string) string {
	switch path.Ext(name) {
	case ".wasm":
		return "application/wasm" // or browsers do not compile while loading
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := a.files[r.URL.Path]
	switch {
	case r.Header.Get("Upgrade") != "":
		http.Error(w, "the WebSocket for MSRP is /msrp", http.StatusNotFound)
		return
	case f == nil:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", a.policy(r.URL.Path))
	h.Set("Cache-Control", "no-cache") // ask each time, and hear 304
	h.Set("Vary", "Accept-Encoding")
	if r.URL.Path != "/" {
		// Other sites embed the widget from here.
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	body, encoding := f.variants[""], ""
	accepted := r.Header.Get("Accept-Encoding")
	for _, e := range encodings {
		if data := f.variants[e.name]; data != nil && accepts(accepted, e.name) {
			body, encoding = data, e.name
			break
		}
	}
	etag := `"` + f.etag + encoding + `"`
	h.Set("ETag", etag)
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	if r.Method == http.MethodGet {
		w.Write(body)
	}
}

// accepts reports whether a value of Accept-Encoding names an encoding, and
// not to refuse it.
func accepts(header, encoding string) bool {
	for _, part := range strings.Split(header, ",") {
		name, parameter, _ := strings.Cut(part, ";")
		if strings.TrimSpace(name) == encoding {
			q := strings.ReplaceAll(parameter, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

// policy returns the Content-Security-Policy of a file. WebAssembly is compiled
// in the worker, and a worker obeys the policy of its own script, so the page
// itself stays without the permission for it.
func (a *assets) policy(path string) string {
	if path == "/worker.js" {
		return "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src " + a.connectSrc
	}
	return "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src " + a.connectSrc +
		"; img-src 'self' blob:; media-src 'self' blob:; style-src 'self'; font-src 'self'; manifest-src 'self'" +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
