// Reads bytes as Go's net/http does: its server for requests, its client's reader for answers, a connection in memory.
//
// For every line of standard input, a list of pieces in base64, prints {"requests": […], "refused": why or null, "rest":
// base64 or null}. `rest` is what follows an upgrade to a WebSocket. A line {"to": [methods], "pieces": […]} asks for the
// answers to requests of these methods, {"answers": […], "refused": why or null}. Go keeps no order of header lines: they come
// by their names.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type seenRequest struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

type seenAnswer struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

// latin1 makes one character of each byte.
func latin1(text string) string {
	characters := make([]rune, len(text))
	for i := 0; i < len(text); i++ {
		characters[i] = rune(text[i])
	}
	return string(characters)
}

func lines(headers http.Header, transferEncoding []string, host string) [][2]string {
	all := [][2]string{}
	if host != "" {
		all = append(all, [2]string{"host", latin1(host)})
	}
	for _, coding := range transferEncoding {
		all = append(all, [2]string{"transfer-encoding", latin1(coding)})
	}
	for name, values := range headers {
		for _, value := range values {
			all = append(all, [2]string{strings.ToLower(latin1(name)), latin1(value)})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i][0] < all[j][0] })
	return all
}

// memory is a connection that brings the pieces, each in a read of its own, and then ends; what is written to it is kept.
type memory struct {
	mutex   sync.Mutex
	pieces  [][]byte
	written bytes.Buffer
}

func (c *memory) Read(into []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	count := copy(into, c.pieces[0])
	c.pieces[0] = c.pieces[0][count:]
	if len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	return count, nil
}

func (c *memory) Write(from []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.written.Write(from)
}

func (c *memory) Close() error                     { return nil }
func (c *memory) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (c *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (c *memory) SetDeadline(time.Time) error      { return nil }
func (c *memory) SetReadDeadline(time.Time) error  { return nil }
func (c *memory) SetWriteDeadline(time.Time) error { return nil }

// one is a listener of one connection.
type one struct {
	connections chan net.Conn
}

func (l *one) Accept() (net.Conn, error) {
	connection, open := <-l.connections
	if !open {
		return nil, net.ErrClosed
	}
	return connection, nil
}
func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func requestsIn(pieces [][]byte) map[string]any {
	requests, refused, rest := []seenRequest{}, any(nil), any(nil)
	connection := &memory{pieces: pieces}
	closed := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(closed) }) }
	server := &http.Server{
		MaxHeaderBytes: 65_536,
		ErrorLog:       log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				end()
			}
		},
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				// The end of input within a message is no fault of the bytes that came.
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					refused = err.Error()
				}
				panic(http.ErrAbortHandler)
			}
			if len(request.Trailer) > 0 {
				refused = "trailers"
				panic(http.ErrAbortHandler)
			}
			requests = append(requests, seenRequest{
				latin1(request.Method), latin1(request.RequestURI),
				lines(request.Header, request.TransferEncoding, request.Host), latin1(string(body)),
			})
			if !strings.EqualFold(request.Header.Get("Upgrade"), "websocket") {
				return
			}
			hijacked, buffered, err := answer.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer end()
			_ = hijacked
			following, _ := io.ReadAll(buffered)
			rest = base64.StdEncoding.EncodeToString(following)
		}),
	}
	listener := &one{make(chan net.Conn, 1)}
	listener.connections <- connection
	go func() { _ = server.Serve(listener) }()
	<-closed
	close(listener.connections)
	if _, answers, found := strings.Cut(connection.written.String(), "HTTP/1.1 4"); found && refused == nil {
		refused = "4" + answers
	}
	if _, answers, found := strings.Cut(connection.written.String(), "HTTP/1.1 5"); found && refused == nil {
		refused = "5" + answers
	}
	return map[string]any{"requests": requests, "refused": refused, "rest": rest}
}

func answersIn(methods []string, pieces [][]byte) map[string]any {
	answers := []seenAnswer{}
	result := func(refused any) map[string]any { return map[string]any{"answers": answers, "refused": refused} }
	reader := bufio.NewReader(&memory{pieces: pieces})
	for _, method := range methods {
		for {
			answer, err := http.ReadResponse(reader, &http.Request{Method: method})
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return result(nil)
			}
			if err != nil {
				return result(err.Error())
			}
			body, err := io.ReadAll(answer.Body)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return result(nil)
			}
			if err != nil {
				return result(err.Error())
			}
			if len(answer.Trailer) > 0 {
				return result("trailers")
			}
			answers = append(answers, seenAnswer{
				answer.StatusCode, lines(answer.Header, answer.TransferEncoding, ""), latin1(string(body)),
			})
			if answer.Close {
				return result(nil)
			}
			if answer.StatusCode >= 200 || answer.StatusCode == 101 {
				break
			}
		}
	}
	return result(nil)
}

func main() {
	input, output := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := input.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked struct {
			To     []string `json:"to"`
			Pieces [][]byte `json:"pieces"`
		}
		if line[0] == '[' {
			err = json.Unmarshal(line, &asked.Pieces)
		} else {
			err = json.Unmarshal(line, &asked)
		}
		if err != nil {
			log.Fatal(err)
		}
		if asked.To != nil {
			err = output.Encode(answersIn(asked.To, asked.Pieces))
		} else {
			err = output.Encode(requestsIn(asked.Pieces))
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}
