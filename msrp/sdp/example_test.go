package sdp_test

import (
	"fmt"
	"strings"

	"github.com/webmsrp/webmsrp/msrp"
	"github.com/webmsrp/webmsrp/msrp/sdp"
)

// Alice offers a file beside the conversation, and Bob takes both.
func ExampleAnswerStreams() {
	stream := func(uri string) sdp.Stream {
		path, _ := msrp.ParsePath(uri)
		return sdp.Stream{Path: path, AcceptTypes: []string{"*"}, Setup: sdp.ActPass}
	}
	file := stream("msrp://alice.example.com:2855/f2kd8;tcp")
	file.Direction = sdp.SendOnly
	file.File = &sdp.FileTransfer{Selector: sdp.FileSelector{Name: "sunset.jpg", Type: "image/jpeg", Size: 4096}, ID: "Q6LMoGymJdh0"}
	offer := sdp.Offer("alice", 2890844526, stream("msrp://alice.example.com:2855/c9s1x;tcp"), file)

	answer, agreements := sdp.AnswerStreams("bob", 2890844530, offer, func(i int, peer *sdp.Stream) (*sdp.Stream, error) {
		own := stream("msrp://bob.example.net:9000/" + string(rune('a'+i)) + ";tcp")
		return &own, nil
	})
	fmt.Println(agreements[1].Peer.File.Selector.Name)
	fmt.Println(strings.ReplaceAll(answer.String(), "\r", ""))

	theirs, err := sdp.Conclude(offer, answer, 1)
	fmt.Println(theirs.Active, theirs.Peer.Path, err)
	// Output:
	// sunset.jpg
	// v=0
	// o=bob 2890844530 1 IN IP4 bob.example.net
	// s=-
	// c=IN IP4 bob.example.net
	// t=0 0
	// m=message 9000 TCP/MSRP *
	// c=IN IP4 bob.example.net
	// a=accept-types:*
	// a=setup:passive
	// a=path:msrp://bob.example.net:9000/a;tcp
	// m=message 9000 TCP/MSRP *
	// c=IN IP4 bob.example.net
	// a=accept-types:*
	// a=setup:passive
	// a=recvonly
	// a=path:msrp://bob.example.net:9000/b;tcp
	// a=file-selector:name:"sunset.jpg" type:image/jpeg size:4096
	// a=file-transfer-id:Q6LMoGymJdh0
	//
	// true msrp://bob.example.net:9000/b;tcp <nil>
}
