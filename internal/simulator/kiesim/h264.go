package kiesim

import (
	"bytes"
	"image"
	"math/bits"
)

// This file writes H.264 (ITU-T H.264 | ISO/IEC 14496-10) without compressing a picture: a macroblock is either sent as
// raw samples (I_PCM) or repeated from the picture before (P_Skip). Both are in every profile, so every decoder plays
// it, and an encoder needs no transform, prediction or entropy tables. Numbers in comments are clauses of the standard.
// The streams are larger than the MinCR of Annex A allows, which decoders do not check.

const (
	macroblock = 16

	nalSlice = 1 // 7.4.1, Table 7-1
	nalIDR   = 5
	nalSPS   = 7
	nalPPS   = 8

	profileBaseline = 66
	constraints     = 0xC0 // constraint_set0 and 1: constrained baseline, A.2.1.1
	level           = 30   // 3.0, A.3.1: up to 1620 macroblocks

	frameNumBits = 4
)

// avc encodes the pictures of one stream, whose sides are multiples of a macroblock.
type avc struct {
	cols, rows int // in macroblocks
	last       *image.YCbCr
	frameNum   uint
	idr        uint
}

func newAVC(size image.Point) *avc {
	return &avc{cols: size.X / macroblock, rows: size.Y / macroblock}
}

// sps is the sequence parameter set, 7.3.2.1.1.
func (e *avc) sps() []byte {
	var w bitWriter
	w.u(8, profileBaseline)
	w.u(8, constraints)
	w.u(8, level)
	w.ue(0)                // seq_parameter_set_id
	w.ue(frameNumBits - 4) // log2_max_frame_num_minus4
	w.ue(2)                // pic_order_cnt_type: output order is decoding order, 8.2.1.3
	w.ue(1)                // max_num_ref_frames
	w.u(1, 0)              // gaps_in_frame_num_value_allowed_flag
	w.ue(uint(e.cols - 1))
	w.ue(uint(e.rows - 1))
	w.u(1, 1) // frame_mbs_only_flag
	w.u(1, 1) // direct_8x8_inference_flag
	w.u(1, 0) // frame_cropping_flag
	w.u(1, 0) // vui_parameters_present_flag
	return nal(nalSPS, w.finish())
}

// pps is the picture parameter set, 7.3.2.2.
func (e *avc) pps() []byte {
	var w bitWriter
	w.ue(0)   // pic_parameter_set_id
	w.ue(0)   // seq_parameter_set_id
	w.u(1, 0) // entropy_coding_mode_flag: CAVLC
	w.u(1, 0) // bottom_field_pic_order_in_frame_present_flag
	w.ue(0)   // num_slice_groups_minus1
	w.ue(0)   // num_ref_idx_l0_default_active_minus1
	w.ue(0)   // num_ref_idx_l1_default_active_minus1
	w.u(1, 0) // weighted_pred_flag
	w.u(2, 0) // weighted_bipred_idc
	w.se(0)   // pic_init_qp_minus26
	w.se(0)   // pic_init_qs_minus26
	w.se(0)   // chroma_qp_index_offset
	w.u(1, 1) // deblocking_filter_control_present_flag: slices switch the filter off
	w.u(1, 0) // constrained_intra_pred_flag
	w.u(1, 0) // redundant_pic_cnt_present_flag
	return nal(nalPPS, w.finish())
}

// encode returns the slice of the next picture. A key picture stands for itself; another one repeats what has not changed.
func (e *avc) encode(pic *image.YCbCr, key bool) []byte {
	var w bitWriter
	w.buf = make([]byte, 0, 1<<16)
	if key {
		e.frameNum = 0
		e.keyHeader(&w)
		e.keyData(&w, pic)
		e.idr = (e.idr + 1) % 2 // Neighbouring IDR pictures must differ in idr_pic_id, 7.4.3.
	} else {
		e.deltaHeader(&w)
		e.deltaData(&w, pic)
	}
	e.last = pic
	e.frameNum = (e.frameNum + 1) % (1 << frameNumBits)
	if key {
		return nal(nalIDR, w.finish())
	}
	return nal(nalSlice, w.finish())
}

// keyHeader is the slice header of an IDR picture, 7.3.3.
func (e *avc) keyHeader(w *bitWriter) {
	w.ue(0) // first_mb_in_slice
	w.ue(7) // slice_type: I, and so are all slices of the picture
	w.ue(0) // pic_parameter_set_id
	w.u(frameNumBits, e.frameNum)
	w.ue(e.idr)
	w.u(1, 0) // no_output_of_prior_pics_flag
	w.u(1, 0) // long_term_reference_flag
	w.se(0)   // slice_qp_delta
	w.ue(1)   // disable_deblocking_filter_idc: samples are shown as they were sent
}

// deltaHeader is the slice header of a P picture, 7.3.3.
func (e *avc) deltaHeader(w *bitWriter) {
	w.ue(0) // first_mb_in_slice
	w.ue(5) // slice_type: P, and so are all slices of the picture
	w.ue(0) // pic_parameter_set_id
	w.u(frameNumBits, e.frameNum)
	w.u(1, 0) // num_ref_idx_active_override_flag
	w.u(1, 0) // ref_pic_list_modification_flag_l0
	w.u(1, 0) // adaptive_ref_pic_marking_mode_flag
	w.se(0)   // slice_qp_delta
	w.ue(1)   // disable_deblocking_filter_idc
}

func (e *avc) keyData(w *bitWriter, pic *image.YCbCr) {
	for row := range e.rows {
		for col := range e.cols {
			w.ue(25) // mb_type I_PCM in an I slice, Table 7-11
			writeSamples(w, pic, col, row)
		}
	}
}

// deltaData is the slice data of a P picture, 7.3.4. A skipped macroblock takes its motion from its neighbours (8.4.1.1);
// as no macroblock ever has motion, it repeats the same place of the picture before.
func (e *avc) deltaData(w *bitWriter, pic *image.YCbCr) {
	skipped := uint(0)
	for row := range e.rows {
		for col := range e.cols {
			if sameBlock(pic, e.last, col, row) {
				skipped++
				continue
			}
			w.ue(skipped)
			skipped = 0
			w.ue(5 + 25) // In P slices the intra types follow the five inter types, Table 7-13.
			writeSamples(w, pic, col, row)
		}
	}
	if skipped > 0 {
		w.ue(skipped)
	}
}

// writeSamples is the rest of an I_PCM macroblock, 7.3.5: aligned raw samples of the three planes.
func writeSamples(w *bitWriter, pic *image.YCbCr, col, row int) {
	w.align()
	eachLine(pic, col, row, func(plane []byte, from, n int) bool {
		w.buf = append(w.buf, plane[from:from+n]...)
		return true
	})
}

func sameBlock(a, b *image.YCbCr, col, row int) bool {
	planes := [][]byte{b.Y, b.Cb, b.Cr}
	lines := 0
	return eachLine(a, col, row, func(plane []byte, from, n int) bool {
		other := planes[max(0, lines/8-1)] // 16 lines of luma, then 8 of each chroma plane
		lines++
		return bytes.Equal(plane[from:from+n], other[from:from+n])
	})
}

// eachLine visits the sample lines of a macroblock in the order of 7.3.5 until visit returns false, and reports whether
// it never did.
func eachLine(pic *image.YCbCr, col, row int, visit func(plane []byte, from, n int) bool) bool {
	for y := range macroblock {
		if !visit(pic.Y, (row*macroblock+y)*pic.YStride+col*macroblock, macroblock) {
			return false
		}
	}
	const half = macroblock / 2
	for _, plane := range [][]byte{pic.Cb, pic.Cr} {
		for y := range half {
			if !visit(plane, (row*half+y)*pic.CStride+col*half, half) {
				return false
			}
		}
	}
	return true
}

// nal wraps a payload: header byte, then the payload with emulation prevention, 7.3.1 and 7.4.1.
func nal(unitType byte, payload []byte) []byte {
	const refIDC = 3 << 5 // every unit here is needed to decode what follows
	out := append(make([]byte, 0, len(payload)+len(payload)/64+1), refIDC|unitType)
	zeros := 0
	for _, b := range payload {
		if zeros >= 2 && b <= 3 {
			out = append(out, 3)
			zeros = 0
		}
		out = append(out, b)
		if b != 0 {
			zeros = 0
		} else {
			zeros++
		}
	}
	return out
}

// bitWriter writes the syntax elements of 7.2.
type bitWriter struct {
	buf  []byte
	cur  uint64 // bits that do not fill a byte yet
	held uint
}

// u writes the n lowest bits of v, n <= 32.
func (w *bitWriter) u(n, v uint) {
	w.cur = w.cur<<n | uint64(v)&(1<<n-1)
	for w.held += n; w.held >= 8; w.held -= 8 {
		w.buf = append(w.buf, byte(w.cur>>(w.held-8)))
	}
}

// ue writes an unsigned Exp-Golomb code, 9.1.
func (w *bitWriter) ue(v uint) {
	n := uint(bits.Len(v + 1))
	w.u(n-1, 0)
	w.u(n, v+1)
}

// se writes a signed Exp-Golomb code, 9.1.1.
func (w *bitWriter) se(v int) {
	if v > 0 {
		w.ue(uint(2*v - 1))
	} else {
		w.ue(uint(-2 * v))
	}
}

func (w *bitWriter) align() {
	if w.held > 0 {
		w.u(8-w.held, 0)
	}
}

// finish writes rbsp_trailing_bits, 7.3.2.11.
func (w *bitWriter) finish() []byte {
	w.u(1, 1)
	w.align()
	return w.buf
}
