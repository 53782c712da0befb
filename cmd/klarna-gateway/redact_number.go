package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maskNumbers takes the numbers out of a text that tell who somebody is: bank accounts, national identification numbers,
// telephones. What belongs together is judged as a whole, so that ids and times are left as they are.
func maskNumbers(s string) string {
	digits := 0
	for i := 0; i < len(s) && digits < 6; i++ {
		if isDigit(s[i]) {
			digits++
		}
	}
	if digits < 6 {
		return s
	}
	var out strings.Builder
	kept := 0
	for i := 0; i < len(s); {
		if !inWord(s[i]) {
			i++
			continue
		}
		end := i + 1
		for end < len(s) && inWord(s[end]) {
			end++
		}
		if n := personalNumber(s[i:], end-i); n > 0 && !(s[end-1] == 'Z' && secondsBefore.MatchString(s[max(i-10, 0):i])) {
			out.WriteString(s[kept:i])
			out.WriteString(masked)
			end, kept = i+n, i+n
		}
		i = end
	}
	if kept == 0 {
		return s
	}
	out.WriteString(s[kept:])
	return out.String()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func inWord(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+'
}

// Numbers that are written in groups.
var (
	groupedIBAN  = regexp.MustCompile(`^[A-Za-z]{2}[0-9]{2}(?: [A-Za-z0-9]{4}){2,7}(?: [A-Za-z0-9]{1,3}\b)?`)
	groupedPhone = regexp.MustCompile(`^\+[1-9][0-9]{0,2}(?:[ /-]?\(?[0-9]{1,8}\)?){1,6}`)
)

// secondsBefore is what stands before the fraction of a second of a time, as RFC 3339 writes it.
var secondsBefore = regexp.MustCompile(`T[0-9]{2}:[0-9]{2}:[0-9]{2}\.$`)

// personalNumber tells how much of a text that begins with a word of some length is such a number; 0 if none is.
func personalNumber(s string, word int) int {
	if s[0] == '+' {
		return phoneNumber(s)
	}
	w := strings.TrimRight(s[:word], "-+")
	if isIBAN(w) || isNationalID(strings.ToUpper(w)) {
		return len(w)
	}
	if first, _, _ := strings.Cut(w, "-"); isIBAN(first) || isIBAN(w[strings.LastIndexByte(w, '-')+1:]) {
		return len(w)
	}
	if word != 4 {
		return 0
	}
	grouped := groupedIBAN.FindString(s)
	for grouped != "" { // what follows may look like a group
		if isIBAN(strings.ReplaceAll(grouped, " ", "")) {
			return len(grouped)
		}
		grouped = grouped[:max(strings.LastIndexByte(grouped, ' '), 0)]
	}
	return 0
}

// phoneNumber is how much of a text that begins with + is a telephone's number with its country.
func phoneNumber(s string) int {
	found := groupedPhone.FindString(s)
	digits := 0
	for i := range len(found) {
		if isDigit(found[i]) {
			digits++
		}
	}
	if digits < 8 || digits > 15 {
		return 0
	}
	return len(found)
}

// ibanLengths are the countries that have IBANs, each with their length (SWIFT's IBAN registry).
var ibanLengths = func() map[string]int {
	all := map[string]int{}
	for one := range strings.FieldsSeq(`AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29
		ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21
		LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23
		TN24 TR26 UA29 VA22 VG24 XK20`) {
		all[one[:2]], _ = strconv.Atoi(one[2:])
	}
	return all
}()

// isIBAN does not mind the check digits: a mistyped one tells as much.
func isIBAN(w string) bool {
	if len(w) < 15 || len(w) > 34 || !isDigit(w[2]) || !isDigit(w[3]) || strings.ContainsAny(w, "-+") {
		return false
	}
	return ibanLengths[strings.ToUpper(w[:2])] == len(w)
}

// National identification numbers by how they are written. Those of digits alone are held to their check digits.
var (
	swedish = regexp.MustCompile(`^(?:[0-9]{2})?([0-9]{6})[-+]?([0-9]{4})$`)
	danish  = regexp.MustCompile(`^([0-9]{6})-[0-9]{4}$`)
	finnish = regexp.MustCompile(`^([0-9]{6})[-+A-FU-Y]([0-9]{3})([0-9A-Y])$`)
	italian = regexp.MustCompile(`^[A-Z]{6}[0-9]{2}[A-EHLMPR-T][0-9]{2}[A-Z][0-9]{3}[A-Z]$`)
	spanish = regexp.MustCompile(`^(?:[XYZ][0-9]{7}|[0-9]{8})[A-HJ-NP-TV-Z]$`)
)

func isNationalID(w string) bool {
	if len(w) < 9 || len(w) > 16 {
		return false
	}
	if part := swedish.FindStringSubmatch(w); part != nil && isDate("060102", part[1]) && luhn(part[1]+part[2]) {
		return true
	}
	if part := danish.FindStringSubmatch(w); part != nil && isDate("020106", part[1]) {
		return true
	}
	if part := finnish.FindStringSubmatch(w); part != nil && isDate("020106", part[1]) {
		n, _ := strconv.Atoi(part[1] + part[2])
		return "0123456789ABCDEFHJKLMNPRSTUVWXY"[n%31] == part[3][0]
	}
	return norwegian(w) || italian.MatchString(w) || spanish.MatchString(w) && spanishLetter(w)
}

func isDate(layout, digits string) bool {
	_, err := time.Parse(layout, digits)
	return err == nil
}

// luhn tells whether the last digit is right for those before it.
func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		n := int(digits[i] - '0')
		if (len(digits)-i)%2 == 0 {
			n *= 2
		}
		sum += n/10 + n%10
	}
	return sum%10 == 0
}

// norwegian tells of eleven digits whether they begin with a date (40 later for those without citizenship) and end with the
// two digits that follow from the others.
func norwegian(w string) bool {
	if len(w) != 11 || strings.Trim(w, "0123456789") != "" {
		return false
	}
	date := w[:6]
	if date[0] >= '4' {
		date = string(date[0]-4) + date[1:]
	}
	if !isDate("020106", date) {
		return false
	}
	first, second := 0, 0
	for i, weight := range []int{3, 7, 6, 1, 8, 9, 4, 5, 2, 1} {
		first += weight * int(w[i]-'0')
	}
	for i, weight := range []int{5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1} {
		second += weight * int(w[i]-'0')
	}
	return first%11 == 0 && second%11 == 0
}

func spanishLetter(w string) bool {
	digits := strings.NewReplacer("X", "0", "Y", "1", "Z", "2").Replace(w[:1]) + w[1:8]
	n, err := strconv.Atoi(digits)
	return err == nil && "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] == w[8]
}
