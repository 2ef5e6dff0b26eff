package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// updateText is a button press of about the usual size. The marks keep their
// length when they are replaced by numbers.
const updateText = `{"update_id":UPDATEID00,"callback_query":{"id":"4382bfdwdsb323b2d9UPDATEID00","from":{"id":USERNUMBER,` +
	`"is_bot":false,"first_name":"Alexandra","last_name":"Konstantinova","username":"alexandra_k","language_code":"en",` +
	`"is_premium":true},"message":{"message_id":48213,"from":{"id":7012345678,"is_bot":true,"first_name":"Kiosk",` +
	`"username":"kiosk_studio_bot"},"chat":{"id":USERNUMBER,"first_name":"Alexandra","last_name":"Konstantinova",` +
	`"username":"alexandra_k","type":"private"},"date":1760000000,"edit_date":1760000042,"text":"Your picture: a lighthouse in ` +
	`the fog, oil on canvas, soft morning light, seen from the sea.\nFormat 4:3, one picture.\nThe price is 4.00.",` +
	`"entities":[{"offset":0,"length":13,"type":"bold"},{"offset":115,"length":18,"type":"italic"}],` +
	`"reply_markup":{"inline_keyboard":[[{"text":"Order for 4.00","callback_data":"1:order:z-image"}],` +
	`[{"text":"Change","callback_data":"1:edit:z-image"},{"text":"Cancel","callback_data":"1:home"}]]}},` +
	`"chat_instance":"-2871365910832765501","data":"1:order:z-image"}}`

// sender owns one connection.
type sender struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
	numbers *atomic.Int64 // the last update's, of all senders
	idAt    []int         // where the update's number stands
	waits   []time.Duration
}

func newSender(ctx context.Context, addr string, user int, numbers *atomic.Int64) (*sender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to the handler: %w", err)
	}
	body := bytes.ReplaceAll([]byte(updateText), []byte("USERNUMBER"), strconv.AppendInt(nil, int64(1_000_000_000+user), 10))
	request := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s",
		addr, secretHeader, secret, len(body), body)
	s := &sender{conn: conn, answers: bufio.NewReader(conn), request: request, numbers: numbers}
	for at := 0; ; {
		i := bytes.Index(request[at:], []byte("UPDATEID00"))
		if i < 0 {
			return s, nil
		}
		s.idAt = append(s.idAt, at+i)
		at += i + 1
	}
}

// run sends one update after another until ctx ends, and notes how long each
// waited for its answer.
func (s *sender) run(ctx context.Context) error {
	for ctx.Err() == nil {
		number := strconv.AppendInt(nil, 1_000_000_000+s.numbers.Add(1), 10)
		for _, at := range s.idAt {
			copy(s.request[at:], number)
		}
		start := time.Now()
		if _, err := s.conn.Write(s.request); err != nil {
			return fmt.Errorf("send an update: %w", err)
		}
		if err := s.answer(); err != nil {
			return err
		}
		s.waits = append(s.waits, time.Since(start))
	}
	return nil
}

// answer reads one answer, which must be a 200 with a length.
func (s *sender) answer() error {
	line, err := s.answers.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("an update was answered with %q", bytes.TrimSpace(line))
	}
	length := -1
	for {
		line, err := s.answers.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return fmt.Errorf("read an answer's length: %w", err)
			}
		}
	}
	if length < 0 {
		return errors.New("an answer has no length")
	}
	_, err = io.CopyN(io.Discard, s.answers, int64(length))
	return err
}
