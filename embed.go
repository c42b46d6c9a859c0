// Package site holds the files of the page, for the proxy to serve. It lies
// at the root because go:embed reaches only below its own directory.
package site

import "embed"

// Files are index.html and what the build put into web/dist.
//
//go:embed index.html web/dist
var Files embed.FS
