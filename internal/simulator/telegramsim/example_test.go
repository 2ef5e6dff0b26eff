package telegramsim_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"

	"kiosk/internal/simulator/telegramsim"
)

// A test plays a person and waits for what the bot makes of it. A real bot would be told of the message by webhook or
// by getUpdates; here its answer is sent by hand.
func ExampleServer() {
	sim, err := telegramsim.New(telegramsim.Config{Token: "7000000001:AAexample"})
	if err != nil {
		panic(err)
	}
	defer sim.Close()
	front := httptest.NewServer(sim)
	defer front.Close()

	ada := sim.NewUser("Ada", "en")
	if _, err := sim.SendText(ada.ID, "/start"); err != nil {
		panic(err)
	}
	response, err := http.PostForm(front.URL+"/bot7000000001:AAexample/sendMessage", url.Values{
		"chat_id": {strconv.FormatInt(ada.ID, 10)}, "text": {"<b>Hello</b>, Ada"}, "parse_mode": {"HTML"},
	})
	if err != nil {
		panic(err)
	}
	response.Body.Close()

	m, err := sim.WaitMessage(context.Background(), ada.ID, func(m telegramsim.Message) bool { return m.From.IsBot })
	fmt.Println(m.Text, m.Entities[0].Type, err)
	// Output: Hello, Ada bold <nil>
}
