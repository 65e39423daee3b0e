package attention

import (
	"fmt"

	"steplm/gpu"
)

// units is how an attention kernel loads and stores heads: in units as wide as the
// head's size lets it, to and from vec4s (parts). Wide loads are what its speed
// hangs on.
type units struct {
	element string // type of a unit
	size    int    // elements of a unit
	zero    string
	prelude string
	load    func(x, at string, part int) string
	// store is the statement once all parts of the unit are there, else nothing.
	store func(x, at string, part int, value string) string
}

// unit is the elements of a unit: eight bf16, else four, else two.
func (x head) unit() int {
	switch {
	case x.size%8 == 0 && x.dtype == gpu.BF16:
		return 8
	case x.size%4 == 0:
		return 4
	}
	return 2
}

// units are those of the head; units of two leave the end of a last vec4 zero.
func (x head) units() units {
	switch x.unit() {
	case 8:
		return units{
			element: "vec4<u32>", size: 8, zero: "vec4<u32>(0u)",
			prelude: `fn evens(o: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(o << vec4<u32>(16u)); }
fn odds(o: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(o & vec4<u32>(0xffff0000u)); }
fn pack_octet(even: vec4<f32>, odd: vec4<f32>) -> vec4<u32> {
	return vec4<u32>(pack(vec2<f32>(even.x, odd.x)), pack(vec2<f32>(even.y, odd.y)), pack(vec2<f32>(even.z, odd.z)), pack(vec2<f32>(even.w, odd.w)));
}
`,
			load: func(x, at string, part int) string {
				return fmt.Sprintf("%s(%s[%s + %du])", [2]string{"evens", "odds"}[part%2], x, at, part/2)
			},
			store: func(x, at string, part int, value string) string {
				if part%2 == 0 {
					return ""
				}
				return fmt.Sprintf("%s[%s + %du] = pack_octet(%s%d, %s%d);", x, at, part/2, value, part-1, value, part)
			},
		}
	case 4:
		u := units{
			element: "vec4<f32>", size: 4, zero: "vec4<f32>(0.0)",
			load: func(x, at string, part int) string { return fmt.Sprintf("%s[%s + %du]", x, at, part) },
			store: func(x, at string, part int, value string) string {
				return fmt.Sprintf("%s[%s + %du] = %s%d;", x, at, part, value, part)
			},
		}
		if x.dtype == gpu.BF16 {
			u.element, u.zero = "vec2<u32>", "vec2<u32>(0u)"
			u.prelude = `fn unpack_quad(q: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack(q.x), unpack(q.y)); }
fn pack_quad(v: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack(v.xy), pack(v.zw)); }
`
			u.load = func(x, at string, part int) string {
				return fmt.Sprintf("unpack_quad(%s[%s + %du])", x, at, part)
			}
			u.store = func(x, at string, part int, value string) string {
				return fmt.Sprintf("%s[%s + %du] = pack_quad(%s%d);", x, at, part, value, part)
			}
		}
		return u
	}
	last := x.size/2 - 1 // pair
	return units{
		element: "Pair", size: 2, zero: "pack(vec2<f32>(0.0))",
		load: func(x, at string, part int) string {
			second := "0.0, 0.0"
			if 2*part < last {
				second = fmt.Sprintf("unpack(%s[%s + %du])", x, at, 2*part+1)
			}
			return fmt.Sprintf("vec4<f32>(unpack(%s[%s + %du]), %s)", x, at, 2*part, second)
		},
		store: func(x, at string, part int, value string) string {
			text := fmt.Sprintf("%s[%s + %du] = pack(%s%d.xy);", x, at, 2*part, value, part)
			if 2*part < last {
				text += fmt.Sprintf(" %s[%s + %du] = pack(%s%d.zw);", x, at, 2*part+1, value, part)
			}
			return text
		},
	}
}
