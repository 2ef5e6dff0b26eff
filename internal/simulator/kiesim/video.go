package kiesim

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
)

const (
	filmLong  = 320 // pixels of the longer side
	filmShort = 96
	filmRate  = 12 // pictures per second
	keyEvery  = 2 * filmRate
)

// video films a scene: over the picture of the prompt a disc travels on an ellipse, and a bar shows the time.
func (p *painter) video(sc scene, seconds float64, rng *rand.Rand) ([]byte, error) {
	bounds := frame(sc.ratio, filmLong, filmShort, macroblock)
	still := image.NewRGBA(bounds)
	backdrop(still, rng)
	if err := p.caption(still, sc); err != nil {
		return nil, err
	}
	path := newOrbit(bounds, rng)
	enc := newAVC(bounds.Size())
	f := &film{size: bounds.Size(), rate: filmRate, sps: enc.sps(), pps: enc.pps()}
	canvas := image.NewRGBA(bounds)
	total := max(int(seconds*filmRate), 1)
	for i := range total {
		copy(canvas.Pix, still.Pix)
		path.draw(canvas, float64(i)/filmRate)
		progress(canvas, float64(i+1)/float64(total))
		key := i%keyEvery == 0
		f.samples = append(f.samples, enc.encode(toYCbCr(canvas), key))
		if key {
			f.keys = append(f.keys, uint32(i+1))
		}
	}
	return f.mp4(), nil
}

// orbit is the way of the travelling disc.
type orbit struct {
	center     image.Point
	rx, ry     float64
	radius     float32
	turns      float64 // per second
	start      float64
	halo, body color.NRGBA
}

func newOrbit(b image.Rectangle, rng *rand.Rand) orbit {
	hue := rng.Float64()
	halo := hsv(hue, 0.3, 1)
	halo.A = 110
	return orbit{
		center: image.Pt(b.Dx()/2, b.Dy()/3), rx: float64(b.Dx()) * 0.36, ry: float64(b.Dy()) * 0.2,
		radius: float32(min(b.Dx(), b.Dy())) / 11, turns: 0.25 + 0.15*rng.Float64(), start: rng.Float64(),
		halo: halo, body: hsv(hue, 0.15, 1),
	}
}

func (o orbit) draw(img *image.RGBA, seconds float64) {
	sin, cos := math.Sincos(2 * math.Pi * (o.start + o.turns*seconds))
	x, y := float32(float64(o.center.X)+o.rx*cos), float32(float64(o.center.Y)+o.ry*sin)
	polygon(img, o.halo, x, y, 1.5*o.radius, 48, 0)
	polygon(img, o.body, x, y, o.radius, 48, 0)
}

func progress(img *image.RGBA, share float64) {
	b := img.Bounds()
	bar := image.Rect(0, b.Max.Y-4, int(share*float64(b.Dx())), b.Max.Y)
	draw.Draw(img, bar, image.NewUniform(color.White), image.Point{}, draw.Src)
}

// toYCbCr converts to the colours that video without a colour description is taken to have: BT.601 with 16 to 235 for
// luma. Four pixels share the chroma of their mean. Fresh planes each time, because the encoder keeps the last picture.
func toYCbCr(img *image.RGBA) *image.YCbCr {
	b := img.Bounds()
	out := image.NewYCbCr(b, image.YCbCrSubsampleRatio420)
	for y := 0; y < b.Dy(); y += 2 {
		for x := 0; x < b.Dx(); x += 2 {
			var sum [3]int
			for i := range 4 {
				px, py := x+i%2, y+i/2
				p := img.Pix[py*img.Stride+4*px:]
				r, g, b := int(p[0]), int(p[1]), int(p[2])
				out.Y[py*out.YStride+px] = byte(16 + (66*r+129*g+25*b+128)>>8)
				sum[0], sum[1], sum[2] = sum[0]+r, sum[1]+g, sum[2]+b
			}
			r, g, b := sum[0]/4, sum[1]/4, sum[2]/4
			c := y/2*out.CStride + x/2
			out.Cb[c] = byte(128 + (-38*r-74*g+112*b+128)>>8)
			out.Cr[c] = byte(128 + (112*r-94*g-18*b+128)>>8)
		}
	}
	return out
}
