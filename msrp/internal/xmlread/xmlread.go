// Package xmlread walks through the small XML documents of MSRP's extensions,
// token by token: encoding/xml's Unmarshal would double what they cost in a
// browser.
package xmlread

import (
	"encoding/xml"
	"errors"
	"strings"
)

// Child returns the start of the next child of the element just begun, or nil
// at its end.
func Child(d *xml.Decoder) (*xml.StartElement, error) {
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.Directive:
			return nil, errors.New("a document with a DTD")
		}
	}
}

// Content returns the text of the element just begun, without the blanks
// around it, and reads it to its end.
func Content(d *xml.Decoder) (string, error) {
	var text []byte
	for {
		token, err := d.Token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			text = append(text, t...)
		case xml.StartElement:
			if err := d.Skip(); err != nil {
				return "", err
			}
		case xml.EndElement:
			return strings.Trim(string(text), " \t\r\n"), nil
		}
	}
}
