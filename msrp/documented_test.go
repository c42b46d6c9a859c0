package msrp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every package and every name that others can use says what it is for. A group
// of constants may do so as a whole, and what the standard library asks for is
// known.
func TestDocumented(t *testing.T) {
	known := []string{"Error", "Unwrap", "String", "Read", "Write", "Len", "Less", "Swap"}
	files := token.NewFileSet()
	packages := map[string]bool{} // whether they say what they are
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		packages[path.Dir(name)] = packages[path.Dir(name)] || file.Doc != nil
		check := func(id *ast.Ident, docs ...*ast.CommentGroup) {
			said := slices.ContainsFunc(docs, func(c *ast.CommentGroup) bool { return strings.TrimSpace(c.Text()) != "" })
			assert.True(t, said || !id.IsExported(), "%v: %s", files.Position(id.Pos()), id.Name)
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil || ast.IsExported(receiver(decl)) && !slices.Contains(known, decl.Name.Name) {
					check(decl.Name, decl.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						check(spec.Name, decl.Doc, spec.Doc)
					case *ast.ValueSpec:
						check(spec.Names[0], decl.Doc, spec.Doc, spec.Comment)
					}
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Greater(t, len(packages), 10)
	for name, said := range packages {
		assert.True(t, said, "package %s", name)
	}
}

// receiver returns the name of the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	id, ok := of.(*ast.Ident)
	if !ok {
		return ""
	}
	return id.Name
}
