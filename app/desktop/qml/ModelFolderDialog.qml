import QtQuick
import QtQuick.Dialogs
import Olivine

FolderDialog {
    title: qsTr("Add a folder with models")
    onAccepted: App.add_places([selectedFolder])
}
