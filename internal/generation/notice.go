package generation

import (
	"context"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/outbox"
)

// The kinds of outbox messages that this room adds. bot renders them from the
// generation's row.
const (
	KindProgress = "generation.progress" // edit the message that shows the progress
	KindResult   = "generation.result"   // send the files
	KindFailed   = "generation.failed"   // say why, and that nothing was charged
	KindAction   = "generation.action"   // show "is sending a photo…" for some seconds
)

// Stage is what a progress message says.
type Stage string

// The stages.
const (
	StageSubmitted Stage = "submitted"
	StageRunning   Stage = "running"
	StageDone      Stage = "done"
	StageFailed    Stage = "failed"
)

// Notice is the argument of all kinds.
type Notice struct {
	Generation ID    `json:"generation"`
	Stage      Stage `json:"stage,omitempty"`
}

// tell moves the progress message to a stage, once.
func tell(ctx context.Context, tx pgx.Tx, g Generation, stage Stage) error {
	if g.MessageID == 0 || g.stage == string(stage) {
		return nil
	}
	if _, err := tx.Exec(ctx, sqlStage, g.ID, stage); err != nil {
		return err
	}
	return outbox.Add(ctx, tx, outbox.Draft{
		Key: holdKey(g.ID) + ":" + string(stage), ChatID: g.ChatID, Kind: KindProgress,
		Args: Notice{Generation: g.ID, Stage: stage},
	})
}

func announce(ctx context.Context, tx pgx.Tx, g Generation, kind string) error {
	return outbox.Add(ctx, tx, outbox.Draft{
		Key: holdKey(g.ID) + ":" + kind, ChatID: g.ChatID, Kind: kind, Args: Notice{Generation: g.ID},
	})
}

// act keeps "is sending a photo…" alive while the person waits.
func act(ctx context.Context, tx pgx.Tx, g Generation) error {
	return outbox.Add(ctx, tx, outbox.Draft{ChatID: g.ChatID, Kind: KindAction, Args: Notice{Generation: g.ID}, Urgent: true})
}
