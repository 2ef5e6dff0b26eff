package kiesim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

const (
	sampleRate    = 24000
	granule       = 576 // samples; the grid of time
	beat          = 11  // granules, a good quarter of a second
	granuleLength = float64(granule) / sampleRate

	// Pitches are odd multiples of this: the grid of frequencies that mp3 can sound steadily, see tones.
	halfLine = float64(sampleRate) / (4 * granule)
)

// note is one tone of a tune, in granules.
type note struct {
	start, length int
	harmonic      int // of halfLine; odd
}

func (n note) pitch() float64 { return float64(n.harmonic) * halfLine }

// compose makes a tune: a random walk over a pentatonic scale, where any walk sounds well, above a slow bass.
func compose(seconds float64, rng *rand.Rand) []note {
	scale := []int{63, 71, 79, 95, 105, 127, 141, 157} // E5 upwards, as near to just intonation as odd numbers get
	bass := []int{21, 35, 23, 21}
	end := int(seconds / granuleLength)
	var tune []note
	step := rng.IntN(len(scale))
	for at := 0; at < end-beat; {
		length := beat * (1 + rng.IntN(2))
		if rng.IntN(6) > 0 { // Else a rest.
			tune = append(tune, note{start: at, length: length, harmonic: scale[step]})
		}
		step = min(max(step+rng.IntN(5)-2, 0), len(scale)-1)
		at += length
	}
	for i := 0; 8*beat*i < end; i++ {
		tune = append(tune, note{start: 8 * beat * i, length: 8 * beat, harmonic: bass[i%len(bass)]})
	}
	return tune
}

// wav plays a tune as RIFF/WAVE: mono, 16 bits.
func wav(tune []note, seconds float64) []byte {
	sound := make([]float64, int(seconds*sampleRate))
	for _, n := range tune {
		pluck(sound, n)
	}
	const header = 44
	size := 2 * len(sound)
	out := make([]byte, header, header+size)
	le := binary.LittleEndian
	copy(out, "RIFF")
	le.PutUint32(out[4:], uint32(header-8+size))
	copy(out[8:], "WAVEfmt ")
	le.PutUint32(out[16:], 16) // length of the format
	le.PutUint16(out[20:], 1)  // PCM
	le.PutUint16(out[22:], 1)  // channels
	le.PutUint32(out[24:], sampleRate)
	le.PutUint32(out[28:], 2*sampleRate)
	le.PutUint16(out[32:], 2)  // bytes of a frame
	le.PutUint16(out[34:], 16) // bits of a sample
	copy(out[36:], "data")
	le.PutUint32(out[40:], uint32(size))
	for _, s := range sound {
		out = le.AppendUint16(out, uint16(int16(32000*min(max(s, -1), 1))))
	}
	return out
}

// pluck adds a note with a soft attack, a few overtones and a decay, as a string has.
func pluck(sound []float64, n note) {
	const attack, volume = 0.012, 0.25
	first, length := n.start*granule, float64(n.length)*granuleLength
	for i := range min(n.length*granule, len(sound)-first) {
		t := float64(i) / sampleRate
		phase := 2 * math.Pi * n.pitch() * t
		wave := math.Sin(phase) + 0.4*math.Sin(2*phase) + 0.15*math.Sin(3*phase)
		// The second factor brings the note to silence at its end, where a cut would click.
		sound[first+i] += volume * wave * min(t/attack, 1) * (1 - t/length) * math.Exp(-3*t/length)
	}
}
