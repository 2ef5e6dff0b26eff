package singleton_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/singleton"
)

// A worker that may run in many processes and works in one.
func Example() {
	ctx := context.Background()
	const url = "postgres://app@localhost/app"

	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	if err := singleton.Bootstrap(ctx, conn); err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	elector, err := singleton.New(singleton.Config{Name: "billing", URL: url})
	if err != nil {
		log.Fatal(err)
	}
	err = elector.Run(ctx, func(ctx context.Context, term *singleton.Term) error {
		for ctx.Err() == nil {
			err := term.InTx(ctx, pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE invoices SET sent = true WHERE due < now()")
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	fmt.Println(err)
}
