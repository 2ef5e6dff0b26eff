package kiesim

// This file writes MPEG-2 audio layer III (ISO/IEC 13818-3, which builds on ISO/IEC 11172-3) without an encoder: a tune of
// steady tones is set down directly as the spectral lines that a decoder turns into sound, so neither a filter bank nor
// Huffman tables are needed. Numbers in comments are clauses of 11172-3.

const (
	mp3Frame    = 96 // bytes: one granule at 32 kbit/s and 24 kHz comes out even, so no frame needs padding
	mp3Header   = 0xFFF340C0 | mp3Bitrate<<12 | mp3Sampling<<10
	mp3Bitrate  = 4 // index of 32 kbit/s
	mp3Sampling = 1 // index of 24 kHz

	// Gains are in steps of 1.5 dB (2.4.3.4). At the loudest, three notes together stay below full scale.
	loudest   = 202
	inaudible = loudest - 40
	noteFade  = 24 // steps that a note loses until it ends
)

// mp3 plays a tune as mono layer III.
func mp3(tune []note, seconds float64) []byte {
	frames := int(seconds / granuleLength)
	out := make([]byte, 0, frames*mp3Frame)
	for i := range frames {
		lines, gain := tones(tune, i)
		out = append(out, mp3Granule(lines, gain, i)...)
	}
	return out
}

// tones returns the spectral lines that sound in a granule, lowest first, and their common gain.
//
// Line l sounds at (l+1/2)/576 of half the sample rate, which is the odd multiple 2l+1 of halfLine.
func tones(tune []note, granule int) (lines [576]bool, gain int) {
	gain = inaudible
	for _, n := range tune {
		age := granule - n.start
		if age < 0 || age >= n.length {
			continue
		}
		lines[n.harmonic/2] = true
		gain = max(gain, loudest-age*noteFade/n.length)
	}
	return lines, gain
}

// mp3Granule writes one frame: header, side information (2.4.1.7) and lines.
func mp3Granule(lines [576]bool, gain, number int) []byte {
	var data bitWriter
	bits := writeLines(&data, lines, number)
	var w bitWriter
	w.u(32, mp3Header)
	w.u(8, 0)          // main_data_begin: every frame stands for itself
	w.u(1, 0)          // private_bits
	w.u(12, bits)      // part2_3_length
	w.u(9, 0)          // big_values: no line is larger than 1
	w.u(8, uint(gain)) // global_gain
	w.u(9, 0)          // scalefac_compress: no scale factors follow
	w.u(1, 0)          // window_switching_flag
	w.u(15+4+3, 0)     // tables and regions of the big values
	w.u(1, 0)          // scalefac_scale
	w.u(1, 1)          // count1table_select: table B
	data.align()
	return append(append(make([]byte, 0, mp3Frame), w.buf...), append(data.buf, zeros(mp3Frame-len(w.buf)-len(data.buf))...)...)
}

// writeLines writes groups of four lines with values of -1, 0 and 1, and returns the number of bits. Table B gives each
// group its inverted bits, and signs follow (2.4.2.7 and Annex B, table 3-B.7).
//
// A steady tone turns by a quarter from granule to granule in the domain of the MDCT, so signs go + + - -.
func writeLines(w *bitWriter, lines [576]bool, number int) (bits uint) {
	last := len(lines) - 1
	for last >= 0 && !lines[last] {
		last--
	}
	negative := uint(number / 2 % 2)
	for group := 0; group <= last; group += 4 {
		code, signs := uint(0), uint(0)
		for _, on := range lines[group : group+4] {
			code <<= 1
			if on {
				code |= 1
				signs++
			}
		}
		w.u(4, ^code)
		for range signs {
			w.u(1, negative)
		}
		bits += 4 + signs
	}
	return bits
}
