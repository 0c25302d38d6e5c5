/*
 * page.c: GET /, a page for people.  The Makefile turns page.html into a list of its bytes.
 */
#include "handlers.h"
#include "http.h"

static const unsigned char page[] = {
#include "page.inc"
};

enum MHD_Result handle_page(struct call *call)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof page, (void *)(uintptr_t)page, MHD_RESPMEM_PERSISTENT);

    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "Content-Type", "text/html; charset=utf-8");
    /* nothing from elsewhere, and no other site around it */
    (void)MHD_add_response_header(response, "Content-Security-Policy",
                                  "default-src 'none'; script-src 'unsafe-inline'; style-src "
                                  "'unsafe-inline'; img-src data:; connect-src 'self'; "
                                  "form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
    return answer(call, 200, response);
}
