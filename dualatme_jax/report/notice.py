"""What stands above every answer to a video, and at the end of every page."""

NOTICE = (
    'This is research software and no lie detector. It is often wrong, and must not decide anything about '
    'anybody.'
)
