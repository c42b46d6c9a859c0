package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/call"
	"github.com/webmsrp/webmsrp/msrp/file"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// Signalling hands an offer to the peer and returns the answer.
var signal func(ctx context.Context, offer string) (answer string, err error)

// Alice sends a file from disk.
func ExampleFile_Send() {
	send := func(ctx context.Context, o call.Options, path string) error {
		opened, err := os.Open(path)
		if err != nil {
			return err
		}
		defer opened.Close()
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		f := &file.File{Name: filepath.Base(path), Type: "image/jpeg", Size: info.Size(), Octets: opened}
		selector, err := f.Describe(ctx, nil)
		if err != nil {
			return err
		}
		o.Direction, o.File = sdp.SendOnly, file.NewTransfer(selector, 0)
		c := call.New(o)
		defer c.Close()
		offer, err := c.Offer(ctx)
		if err != nil {
			return err
		}
		answer, err := signal(ctx, offer)
		if err != nil {
			return err
		}
		if err := c.Accept(ctx, answer); err != nil {
			return err // sdp.ErrRefused where Bob does not want it
		}
		sending, err := f.Send(ctx, c.Session(), c.File(), &file.SendOptions{
			Progress: func(octets int64) { fmt.Printf("%d of %d octets\n", octets, f.Size) },
		})
		if err != nil {
			return err
		}
		failed := sending.Delivered(ctx)
		if failed != nil {
			sending.Abort()
		}
		// In either case the peer is told that it is over.
		end, err := c.End()
		if err == nil {
			_, err = signal(ctx, end)
		}
		return errors.Join(failed, err)
	}
	_ = send
}

// Bob takes a file to disk that he is offered.
func ExampleReceiver() {
	receive := func(ctx context.Context, o call.Options, offer string, reply func(answer string) error) error {
		description, err := sdp.Parse(offer)
		if err != nil {
			return err
		}
		stream, err := description.Stream(0)
		if err != nil || stream.File == nil {
			return errors.Join(err, errors.New("this is not the offer of a file"))
		}
		name := file.SafeName(stream.File.Selector.Name)
		// Under another name until it is whole, and never over one that is there.
		part, err := os.OpenFile(name+".part", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer part.Close()
		r, err := file.NewReceiver(part, stream.File.Selector)
		if err != nil {
			return err
		}
		if o.File, err = r.Accept(stream.File); err != nil {
			return err
		}
		c := call.New(o)
		defer c.Close()
		answer, err := c.Answer(ctx, offer)
		if err != nil {
			return err
		}
		if err := reply(answer); err != nil {
			return err
		}
		if err := r.Receive(ctx, c.Session(), c.File()); err != nil {
			return err // the rest can come later
		}
		if err := part.Close(); err != nil {
			return err
		}
		return os.Rename(name+".part", name)
	}
	_ = receive
}

// Bob asks for the rest of a file, of which a part came before his program was
// ended. He has kept the selector.
func ExampleReceiver_Ask() {
	resume := func(ctx context.Context, o call.Options, name string, selector sdp.FileSelector) error {
		part, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer part.Close()
		r, err := file.NewReceiver(part, selector)
		if err != nil {
			return err
		}
		if err := r.Have(part); err != nil { // and the writing goes on behind
			return err
		}
		for !r.Whole() {
			o.Direction, o.File = sdp.RecvOnly, r.Ask() // another ID each time
			c := call.New(o)
			offer, err := c.Offer(ctx)
			if err != nil {
				return err
			}
			answer, err := signal(ctx, offer)
			if err == nil {
				err = c.Accept(ctx, answer)
			}
			if err == nil {
				err = r.Receive(ctx, c.Session(), c.File())
			}
			c.Close()
			if err != nil && !errors.Is(err, msrp.ErrConnLost) {
				return err
			}
		}
		return nil
	}
	_ = resume
}

// Names of strangers become names of files.
func ExampleSafeName() {
	for _, name := range []string{"../../etc/passwd", "My cool picture.jpg", "con.txt", "photo\u202egpj.exe", ".."} {
		fmt.Println(file.SafeName(name))
	}
	// Output:
	// passwd
	// My cool picture.jpg
	// _con.txt
	// photogpj.exe
	// file
}
